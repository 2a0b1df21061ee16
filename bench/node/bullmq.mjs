// BullMQ. Jobs that are done are removed, as its guide for production has it.
import { Queue, Worker } from "bullmq";

export function open(connection) {
  const queues = new Map();
  const queue = (name) => {
    if (!queues.has(name)) queues.set(name, new Queue(name, { connection, defaultJobOptions: { removeOnComplete: true } }));
    return queues.get(name);
  };
  return {
    enqueue: (name, p, delay) => queue(name).add("mail.send", p, delay ? { delay } : undefined),
    enqueueMany: (name, ps) => queue(name).addBulk(ps.map((data) => ({ name: "mail.send", data }))),
    async backlog(name) {
      const c = await queue(name).getJobCounts("waiting", "active", "delayed", "prioritized", "completed", "failed");
      return { pending: c.waiting, active: c.active, other: c.delayed + c.prioritized + c.completed + c.failed };
    },
    close: () => Promise.all([...queues.values()].map((q) => q.close())),
  };
}

export async function work(connection, names, concurrency, handle) {
  const workers = names.map((name) => new Worker(name, async (job) => handle(job.data), { connection, concurrency }));
  for (const w of workers) w.on("error", console.error);
  await Promise.all(workers.map((w) => w.waitUntilReady()));
  return () => Promise.all(workers.map((w) => w.close()));
}
