// The steps of ../step_*.go for the job systems on Node: node steps.mjs STEP ORDER, as those get them, and figures printed
// the same way. What each figure means is told in ../README.md.
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { availableParallelism } from "node:os";
import { Tally, payload, quantiles, perJob, metric } from "./tally.mjs";
import { awaitAcks, consume, produce, hold, rescue } from "./besides.mjs";

const mainQueue = "default";
const idleQueues = [mainQueue, "second", "third"];
const producers = 32;
const batchSize = 1000;
const lastWait = 60_000;

const [step, order] = process.argv.slice(2);
const spec = JSON.parse(order);
const [host, port] = spec.broker.addr.split(":");
const connection = { host, port: Number(port) };
const { open, work } = await import(`./${spec.variant.system}.mjs`);

// enqueueMany enqueues jobs 0 to n-1 one by one from some callers at once.
async function enqueueMany(client, n, callers, delay = 0) {
  let next = 0;
  const caller = async () => {
    while (next < n) await client.enqueue(mainQueue, payload(next++), delay);
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

// enqueueBatches enqueues them so many a call, from one caller.
async function enqueueBatches(client, n, size = batchSize) {
  for (let i = 0; i < n; i += size) {
    const batch = Array.from({ length: Math.min(size, n - i) }, (_, j) => payload(i + j));
    await client.enqueueMany(mainQueue, batch);
  }
}

// expectPending checks that exactly n jobs wait and that none is in any other state.
async function expectPending(client, n) {
  const b = await client.backlog(mainQueue);
  if (b.pending !== n || b.active !== 0 || b.other !== 0) {
    throw new Error(`the queue holds ${JSON.stringify(b)}, not ${n} pending`);
  }
}

async function usage() {
  const rdb = new Redis(connection);
  const info = (await rdb.info("cpu")) + (await rdb.info("stats"));
  await rdb.quit();
  const number = (key) => Number(new RegExp(`^${key}:(.*)$`, "m").exec(info)[1]);
  const own = process.cpuUsage();
  const server = 1e6 * (number("used_cpu_user") + number("used_cpu_sys"));
  return { client: own.user + own.system, server, in: number("total_net_input_bytes"), out: number("total_net_output_bytes") };
}

async function fill() {
  const client = open(connection);
  await enqueueBatches(client, spec.n);
  await expectPending(client, spec.n);
  await client.close();
  return [];
}

async function drain() {
  const client = open(connection);
  await expectPending(client, spec.n);
  const start = await usage();
  const tally = new Tally(spec.n);
  const pause = spec.handler_ns / 1e6;
  const handle = pause > 0 ? (p) => (tally.handle(p), sleep(pause)) : (p) => tally.handle(p);
  const stop = await work(connection, [mainQueue], spec.variant.concurrency, handle);
  await tally.all(30_000 + spec.n);
  await awaitAcks(client, mainQueue);
  const took = performance.now() - tally.first;
  const whole = performance.now() - tally.began;
  const end = await usage();
  await stop();
  await expectPending(client, 0);
  await client.close();
  tally.check();
  const rate = metric("rate", "jobs/s", "higher", spec.n / (took / 1000));
  if (pause > 0) {
    const ideal = Math.ceil(spec.n / spec.variant.concurrency) * pause;
    const used = (end.client - start.client + end.server - start.server) / 1000;
    return [rate, metric("of the ideal", "%", "higher", (100 * ideal) / took), metric("machine busy", "%", "lower", (100 * used) / whole / availableParallelism())];
  }
  return [
    rate,
    metric("start to first job", "ms", "lower", tally.first - tally.began),
    ...perJob(start, end, spec.n, ""),
  ];
}

// leave leaves jobs that are scheduled; other states give no figures.
async function leave() {
  if (spec.state !== "scheduled") return [];
  const client = open(connection);
  await enqueueMany(client, spec.n, producers, 3_600_000);
  const b = await client.backlog(mainQueue);
  if (b.pending !== 0 || b.active !== 0 || b.other !== spec.n) throw new Error(`the queue holds ${JSON.stringify(b)}, not ${spec.n} scheduled`);
  await client.close();
  return [metric("jobs", "", "lower", spec.n)];
}

async function enqueue() {
  const modes = [
    ["1 caller ", Math.max(1, Math.floor(spec.n / 10)), (c, n) => enqueueMany(c, n, 1)],
    ["32 callers ", spec.n, (c, n) => enqueueMany(c, n, producers)],
    ["batch of 1000 ", spec.n, enqueueBatches],
  ];
  const out = [];
  for (const [name, n, run] of modes) {
    const rdb = new Redis(connection);
    await rdb.flushall();
    await rdb.quit();
    const client = open(connection);
    const start = await usage();
    const began = performance.now();
    await run(client, n);
    const took = performance.now() - began;
    const end = await usage();
    out.push(metric(name + "rate", "jobs/s", "higher", n / (took / 1000)), ...perJob(start, end, n, name));
    await expectPending(client, n);
    await client.close();
  }
  return out;
}

// sample enqueues jobs 10 to 30 ms apart beside a running worker; each one's time from just before the call, plus its delay,
// to its handler's start.
async function sample(delay) {
  const client = open(connection);
  const n = spec.samples;
  const warm = new Tally(1);
  const tally = new Tally(n);
  const handle = (p) => (p.user_id === n ? warm.handle({ ...p, user_id: 0 }) : tally.handle(p));
  const stop = await work(connection, [mainQueue], spec.variant.concurrency, handle);
  await client.enqueue(mainQueue, payload(n), 0); // opens the connections and loads the scripts
  await warm.all(lastWait);
  const due = [];
  for (let i = 0; i < n; i++) {
    await sleep(10 + 20 * Math.random());
    due.push(performance.now() + delay);
    await client.enqueue(mainQueue, payload(i), delay);
  }
  await tally.all(delay + lastWait);
  await stop();
  await client.close();
  tally.check();
  return due.map((at, i) => tally.starts[i] - at);
}

async function delayed() {
  const lateness = await sample(1000);
  const early = lateness.filter((d) => d < 0);
  return [
    ...quantiles(lateness, "lateness "),
    metric("early", "jobs", "lower", early.length),
    metric("earliest by", "ms", "lower", early.length ? -Math.min(...early) : 0),
  ];
}

async function idle() {
  const client = open(connection);
  const tally = new Tally(idleQueues.length);
  const stop = await work(connection, idleQueues, spec.variant.concurrency, (p) => tally.handle(p));
  for (const [i, queue] of idleQueues.entries()) await client.enqueue(queue, payload(i), 0);
  await tally.all(lastWait);
  await client.close();
  await sleep(5000);
  console.log("idle");
  for await (const _ of process.stdin);
  await stop();
  return [];
}

const tools = { open, work, connection, spec, queue: mainQueue, producers, lastWait, usage, expectPending, enqueueMany, enqueueBatches };
const beside = Object.fromEntries(Object.entries({ consume, produce, hold, rescue }).map(([name, run]) => [name, () => run(tools)]));
const steps = { fill, drain, leave, enqueue, latency: async () => quantiles(await sample(0), ""), delayed, idle, ...beside };
console.log(JSON.stringify(await steps[step]()));
process.exit(0); // whatever a library still holds
