"""The steps of ../step_*.go for a plain loop of redis.asyncio: RPUSH, and BLPOP in as many tasks as the concurrency says.

python3 steps.py STEP ORDER, as the others get them, and figures printed the same way. What it has not got (delays, recovery)
gives no figures. What each figure means is told in ../README.md.
"""
import asyncio
import json
import math
import os
import random
import resource
import sys
import time

import redis.asyncio
from redis.asyncio import BlockingConnectionPool, Redis

try:
    import uvloop
except ImportError:
    uvloop = None

QUEUE = "default"
IDLE = [QUEUE, "second", "third"]
PRODUCERS = 32
BATCH = 1000
LAST_WAIT = 60.0

spec = json.loads(sys.argv[2])
host, port = spec["broker"]["addr"].rsplit(":", 1)
N, CONCURRENCY, SAMPLES = spec["n"], spec["variant"]["concurrency"], spec["samples"]


def connect(connections):
    pool = BlockingConnectionPool(host=host, port=int(port), max_connections=connections, timeout=None)
    return Redis(connection_pool=pool)


def payload(i):
    return json.dumps({
        "user_id": i, "email": "someone@example.com", "subject": "Welcome to the service", "body": "x" * 90, "ts": time.time_ns(),
    }, separators=(",", ":"))


def metric(name, unit, better, value):
    return {"name": name, "unit": unit, "better": better, "value": value}


def quantiles(samples, prefix=""):
    s = sorted(samples)
    ranks = [("p50", 0.5), ("p99", 0.99)] + ([("p99.9", 0.999)] if len(s) >= 1000 else []) + [("max", 1)]
    return [metric(prefix + name, "ms", "lower", s[max(0, math.ceil(p * len(s)) - 1)] * 1e3) for name, p in ranks]


async def usage(client):
    own = resource.getrusage(resource.RUSAGE_SELF)
    cpu, net = await client.info("cpu"), await client.info("stats")
    return (own.ru_utime + own.ru_stime, cpu["used_cpu_user"] + cpu["used_cpu_sys"],
            net["total_net_input_bytes"], net["total_net_output_bytes"])


def per_job(start, end, n, prefix=""):
    kinds = [("client CPU", "us/job", 1e6), ("server CPU", "us/job", 1e6), ("network in", "bytes/job", 1), ("network out", "bytes/job", 1)]
    return [metric(prefix + name, unit, "lower", (e - s) * factor / n) for (name, unit, factor), s, e in zip(kinds, start, end)]


class Tally:
    """Counts handler starts, for jobs numbered 0 to n-1."""

    def __init__(self, n):
        self.began, self.first, self.distinct, self.n = time.perf_counter(), 0.0, 0, n
        self.starts, self.waited, self.made = [0.0] * n, [0.0] * n, 0
        self.done = asyncio.Event()

    def handle(self, p):
        i, now = p["user_id"], time.perf_counter()
        if self.starts[i]:
            sys.exit(f"job {i} ran more than once")
        self.starts[i], self.waited[i] = now, (time.time_ns() - p["ts"]) / 1e9
        self.first = self.first or now
        if i == 0:
            self.made = p["ts"]
        self.distinct += 1
        if self.distinct == self.n:
            self.done.set()

    async def all(self, limit):
        await asyncio.wait_for(self.done.wait(), limit)


def work(queues, handle, concurrency=CONCURRENCY, pause=0.0):
    """The loop that is measured."""
    client = connect(concurrency + 1)

    async def loop():
        while True:
            _, data = await client.blpop(queues)
            handle(json.loads(data))
            if pause:
                await asyncio.sleep(pause)

    return [asyncio.create_task(loop()) for _ in range(concurrency)]


async def enqueue_many(client, n, callers):
    numbers = iter(range(n))

    async def caller():
        for i in numbers:
            await client.rpush(QUEUE, payload(i))

    await asyncio.gather(*(caller() for _ in range(callers)))


async def enqueue_batches(client, n, size=BATCH):
    for i in range(0, n, size):
        await client.rpush(QUEUE, *(payload(j) for j in range(i, min(n, i + size))))


async def enqueue_at(client, n, rate):
    due = asyncio.Queue()

    async def caller():
        while (job := await due.get()) is not None:
            await client.rpush(QUEUE, job)

    callers = [asyncio.create_task(caller()) for _ in range(PRODUCERS)]
    began, i = time.perf_counter(), 0
    while i < n:
        while i < n and time.perf_counter() - began >= i / rate:
            due.put_nowait(payload(i))
            i += 1
        await asyncio.sleep(0.001)
    for _ in callers:
        due.put_nowait(None)
    await asyncio.gather(*callers)


async def expect(client, n):
    if (have := await client.llen(QUEUE)) != n:
        sys.exit(f"the queue holds {have}, not {n}")


async def fill():
    client = connect(1)
    await enqueue_batches(client, N)
    await expect(client, N)
    return []


async def drain():
    client = connect(1)
    await expect(client, N)
    start, tally, pause = await usage(client), Tally(N), spec["handler_ns"] / 1e9
    work([QUEUE], tally.handle, pause=pause)
    await tally.all(30 + N / 1000)
    if pause:  # nothing tells when the last handlers end but their own time
        await asyncio.sleep(pause)
    now = time.perf_counter()
    end, took = await usage(client), now - tally.first
    await expect(client, 0)
    rate = metric("rate", "jobs/s", "higher", N / took)
    if pause:
        ideal = math.ceil(N / CONCURRENCY) * pause
        busy = sum(end[:2]) - sum(start[:2])
        return [rate, metric("of the ideal", "%", "higher", 100 * ideal / took),
                metric("machine busy", "%", "lower", 100 * busy / (now - tally.began) / os.cpu_count())]
    return [rate, metric("start to first job", "ms", "lower", (tally.first - tally.began) * 1e3), *per_job(start, end, N)]


async def latency():
    client, tally = connect(2), Tally(SAMPLES)
    work([QUEUE], tally.handle)
    await asyncio.sleep(0.5)
    for i in range(SAMPLES):
        await asyncio.sleep(0.01 + 0.02 * random.random())
        await client.rpush(QUEUE, payload(i))
    await tally.all(LAST_WAIT)
    return quantiles(tally.waited)


async def enqueue():
    out = []
    for name, n, callers in (("1 caller ", max(1, N // 10), 1), ("32 callers ", N, PRODUCERS), ("batch of 1000 ", N, 0)):
        client = connect(PRODUCERS)
        await client.flushall()
        start, began = await usage(client), time.perf_counter()
        await (enqueue_many(client, n, callers) if callers else enqueue_batches(client, n))
        took = time.perf_counter() - began
        out += [metric(name + "rate", "jobs/s", "higher", n / took), *per_job(start, await usage(client), n, name)]
        await expect(client, n)
    return out


async def idle():
    client, tally = connect(1), Tally(len(IDLE))
    work(IDLE, tally.handle)
    for i, queue in enumerate(IDLE):
        await client.rpush(queue, payload(i))
    await tally.all(LAST_WAIT)
    await asyncio.sleep(5)
    print("idle", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    return []


async def consume():
    client, tally, warm = connect(1), Tally(N), asyncio.Event()
    work([QUEUE], lambda p: warm.set() if p["user_id"] == N else tally.handle(p))
    await client.rpush(QUEUE, payload(N))
    await asyncio.wait_for(warm.wait(), LAST_WAIT)
    start = await usage(client)
    print("ready", flush=True)
    await tally.all(LAST_WAIT + N / 1000)
    took = (time.time_ns() - tally.made) / 1e9
    figures = quantiles(tally.waited[N // 10:]) if spec["rate"] > 0 else [metric("rate", "jobs/s", "higher", N / took)]
    return figures + per_job(start, await usage(client), N)


async def produce():
    client = connect(PRODUCERS)
    start, began = await usage(client), time.perf_counter()
    if spec["rate"] > 0:
        await enqueue_at(client, N, spec["rate"])
    else:
        await (enqueue_batches(client, N, spec["batch"]) if spec["batch"] > 0 else enqueue_many(client, N, PRODUCERS))
    took = time.perf_counter() - began
    return [metric("sent", "jobs/s", "higher", N / took), *per_job(start, await usage(client), N)]


async def delayed():
    return []


async def leave():
    return []


steps = {f.__name__: f for f in (fill, drain, latency, delayed, leave, enqueue, idle, consume, produce)}
if uvloop:
    uvloop.install()


async def main():
    print(json.dumps(await steps[sys.argv[1]]()), flush=True)
    os._exit(0)  # the tasks never end


asyncio.run(main())
