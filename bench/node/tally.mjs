// What the steps count and how they sum it up.

const body = "x".repeat(90);

// payload is that of job i: the same 200 bytes as in Go.
export const payload = (i) => ({
  user_id: i,
  email: "someone@example.com",
  subject: "Welcome to the service",
  body,
  ts: Math.floor((performance.timeOrigin + performance.now()) * 1e6), // to some hundred nanoseconds, as a number in JavaScript is
});

// Tally counts handler starts, for jobs numbered 0 to n-1.
export class Tally {
  constructor(n) {
    this.began = performance.now();
    this.starts = new Array(n).fill(0);
    this.first = 0;
    this.distinct = this.repeats = this.strays = 0;
    this.done = new Promise((resolve) => (this.finish = resolve));
  }

  handle(p) {
    const now = performance.now();
    if (!(p.user_id >= 0 && p.user_id < this.starts.length)) return void this.strays++;
    if (this.starts[p.user_id]) return void this.repeats++;
    this.starts[p.user_id] = now;
    this.first ||= now;
    if (++this.distinct === this.starts.length) this.finish();
  }

  // all waits until every job has begun, for at most some milliseconds.
  async all(limit) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`only ${this.distinct} of ${this.starts.length} jobs began within ${limit} ms`)), limit);
    });
    await Promise.race([this.done, late]);
    clearTimeout(timer);
  }

  // check reports jobs that ran twice or were never ours.
  check() {
    if (this.repeats + this.strays > 0) throw new Error(`${this.repeats} ran more than once, ${this.strays} unknown ones ran`);
  }
}

export const metric = (name, unit, better, value) => ({ name, unit, better, value });

// quantiles are p50, p99, p99.9 (of a thousand or more) and max, by nearest rank.
export function quantiles(samples, prefix) {
  const s = samples.sort((a, b) => a - b);
  const rank = (p) => s[Math.max(0, Math.min(s.length, Math.ceil(p * s.length)) - 1)];
  const ms = (name, value) => metric(prefix + name, "ms", "lower", value);
  const tail = s.length >= 1000 ? [ms("p99.9", rank(0.999))] : [];
  return [ms("p50", rank(0.5)), ms("p99", rank(0.99)), ...tail, ms("max", s.at(-1))];
}

// perJob is the CPU between two marks, in µs, and the bytes that the server received and sent, for each of n jobs.
export const perJob = (start, end, n, prefix) => {
  const figure = (name, unit, key) => metric(prefix + name, unit, "lower", (end[key] - start[key]) / n);
  return [
    figure("client CPU", "us/job", "client"),
    figure("server CPU", "us/job", "server"),
    figure("network in", "bytes/job", "in"),
    figure("network out", "bytes/job", "out"),
  ];
};
