// bee-queue, with what its manual advises for speed: no events, no jobs kept in memory or after they are done.
import Queue from "bee-queue";

const lean = { getEvents: false, sendEvents: false, storeJobs: false, removeOnSuccess: true };

export function open(redis) {
  const queues = new Map();
  const queue = (name) => {
    if (!queues.has(name)) queues.set(name, new Queue(name, { ...lean, redis, isWorker: false }));
    return queues.get(name);
  };
  return {
    enqueue(name, p, delay) {
      const job = queue(name).createJob(p);
      if (delay) job.delayUntil(Date.now() + delay);
      return job.save();
    },
    async enqueueMany(name, ps) {
      const q = queue(name);
      const faults = await q.saveAll(ps.map((p) => q.createJob(p)));
      for (const fault of faults.values()) throw fault;
    },
    async backlog(name) {
      const h = await queue(name).checkHealth();
      return { pending: h.waiting, active: h.active, other: h.delayed + h.failed };
    },
    close: () => Promise.all([...queues.values()].map((q) => q.close())),
  };
}

export async function work(redis, names, concurrency, handle) {
  const queues = names.map((name) => new Queue(name, { ...lean, redis, activateDelayedJobs: true }));
  for (const q of queues) {
    q.on("error", console.error);
    q.process(concurrency, async (job) => handle(job.data));
  }
  await Promise.all(queues.map((q) => q.ready()));
  // Its manual: someone must look for stalled jobs, at half their interval of 5 s.
  for (const q of queues) q.checkStalledJobs(2500, (err) => err && console.error(err));
  return () => Promise.all(queues.map((q) => q.close()));
}
