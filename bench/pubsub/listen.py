# One live subscriber with redis.asyncio (with hiredis and uvloop where they are found), for the measure "live". It prints
# its metrics as the other steps do, and says on file 3 how far it is. A message is decoded into a dict, which is cheaper
# than into an object.
import asyncio
import json
import os
import resource
import sys
import time

import redis.asyncio

try:
    import uvloop
except ImportError:
    uvloop = None

spec = json.loads(sys.argv[1])
host, port = spec["broker"]["addr"].rsplit(":", 1)
progress = os.fdopen(3, "w", buffering=1)


async def cpu(client):
    own = resource.getrusage(resource.RUSAGE_SELF)
    info = await client.info("cpu")
    return own.ru_utime + own.ru_stime, info["used_cpu_user"] + info["used_cpu_sys"]


async def main():
    client = redis.asyncio.Redis(host=host, port=int(port))
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(spec["topic"])
    await pubsub.get_message(ignore_subscribe_messages=True, timeout=10)  # the confirmation
    start = await cpu(client)
    progress.write("0\n")
    n, last, report, first = 0, spec["n"], spec["report"], 0.0
    async for message in pubsub.listen():
        if n == 0:
            first = time.perf_counter()
        data = json.loads(message["data"])
        if data["user_id"] != n:
            sys.exit(f"message {data['user_id']} came in place of {n}")
        n += 1
        if n % report == 0:
            progress.write(f"{n}\n")
        if n == last:
            break
    took = time.perf_counter() - first
    end = await cpu(client)
    per = [(e - s) * 1e6 / n for s, e in zip(start, end)]
    print(json.dumps([
        {"name": "rate", "unit": "messages/s", "better": "higher", "value": n / took},
        {"name": "client CPU", "unit": "us/message", "better": "lower", "value": per[0]},
        {"name": "server CPU", "unit": "us/message", "better": "lower", "value": per[1]},
    ]))


if uvloop:
    uvloop.install()
asyncio.run(main())
