// The steps in which a worker and others have a part at once; ../step_mixed.go and ../step_recovery.go tell what they are.
import { setTimeout as sleep } from "node:timers/promises";
import { Tally, payload, quantiles, perJob, metric } from "./tally.mjs";

const wall = () => performance.timeOrigin + performance.now(); // ms since 1970

// awaitAcks polls until nothing is pending or active.
export async function awaitAcks(client, queue) {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const b = await client.backlog(queue);
    if (b.pending === 0 && b.active === 0) return;
    if (performance.now() > deadline) throw new Error(`30 s after the last handler began, ${JSON.stringify(b)} is left`);
    await sleep(1);
  }
}

export async function consume({ open, work, connection, spec, queue, usage, expectPending, lastWait }) {
  const client = open(connection);
  const n = spec.n;
  const warm = new Tally(1);
  const tally = new Tally(n);
  const waited = new Float64Array(n);
  let made = 0;
  const stop = await work(connection, [queue], spec.variant.concurrency, (p) => {
    if (p.user_id === n) return warm.handle({ ...p, user_id: 0 });
    if (p.user_id === 0) made = p.ts / 1e6;
    waited[p.user_id] = wall() - p.ts / 1e6;
    tally.handle(p);
  });
  await client.enqueue(queue, payload(n), 0);
  await warm.all(lastWait);
  await awaitAcks(client, queue);
  const start = await usage();
  console.log("ready");
  await tally.all(lastWait + n);
  await awaitAcks(client, queue);
  const took = wall() - made;
  const end = await usage();
  await stop();
  await expectPending(client, 0);
  await client.close();
  tally.check();
  const figures = spec.rate > 0 ? quantiles([...waited.slice(Math.floor(n / 10))], "") : [metric("rate", "jobs/s", "higher", n / (took / 1000))];
  return [...figures, ...perJob(start, end, n, "")];
}

export async function produce({ open, connection, spec, queue, usage, producers, enqueueMany, enqueueBatches }) {
  const client = open(connection);
  const start = await usage();
  const began = performance.now();
  if (spec.rate > 0) await enqueueAt(client, queue, spec.n, spec.rate, producers);
  else if (spec.batch > 0) await enqueueBatches(client, spec.n, spec.batch);
  else await enqueueMany(client, spec.n, producers);
  const took = performance.now() - began;
  const end = await usage();
  await client.close();
  return [metric("sent", "jobs/s", "higher", spec.n / (took / 1000)), ...perJob(start, end, spec.n, "")];
}

// enqueueAt hands jobs at a rate to some loops that enqueue one at a time; it looks at the clock each millisecond.
async function enqueueAt(client, queue, n, rate, callers) {
  const due = [];
  const idle = [];
  let closed = false;
  const caller = async () => {
    for (;;) {
      while (due.length === 0) {
        if (closed) return;
        await new Promise((resolve) => idle.push(resolve));
      }
      await client.enqueue(queue, due.shift(), 0);
    }
  };
  const all = Promise.all(Array.from({ length: callers }, caller));
  const began = performance.now();
  for (let i = 0; i < n; await Promise.race([sleep(1), all])) {
    for (; i < n && (performance.now() - began) / 1000 >= i / rate; i++) {
      due.push(payload(i));
      idle.pop()?.();
    }
  }
  closed = true;
  for (const wake of idle) wake();
  await all;
}

export async function hold({ open, work, connection, spec, enqueueMany, queue, producers, lastWait }) {
  const client = open(connection);
  await enqueueMany(client, spec.n, producers);
  await work(connection, [queue], spec.variant.concurrency, () => new Promise(() => {})); // for ever
  const deadline = performance.now() + lastWait;
  for (let b = {}; b.active !== spec.n; b = await client.backlog(queue)) {
    if (performance.now() > deadline) throw new Error(`the worker did not take all of ${spec.n} jobs: ${JSON.stringify(b)}`);
    await sleep(10);
  }
  console.log("holding");
  await new Promise(() => setInterval(() => {}, 60_000)); // until it is killed
}

export async function rescue({ work, connection, spec, queue }) {
  const tally = new Tally(spec.n);
  await work(connection, [queue], spec.variant.concurrency, (p) => tally.handle(p));
  await sleep(2000);
  console.log("ready");
  await tally.all(600_000);
  const at = tally.starts.map((t) => (performance.timeOrigin + t) / 1000);
  return [metric("first job back", "s", "lower", Math.min(...at)), metric("all jobs back", "s", "lower", Math.max(...at))];
}
