"""Enqueues one job as docs/protocol.md says: producer.py REDIS_URL QUEUE KIND LUA_DIR < args. Prints its id."""
import asyncio, hashlib, pathlib, struct, sys, time, uuid
import redis.asyncio as redis
from redis.exceptions import NoScriptError

def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value

def envelope(kind, args, priority=0):
    body = field(1, kind.encode()) + field(4, int(time.time() * 1000)) + field(2, args)
    return struct.pack(">BBBH", 1, 0, priority, 5) + body

async def enqueue(r, script, queue, kind, args):
    parts = ["jobs", "producers", "wake", "meta", "scheduled", "due", "ready:0"]  # and a ready list for each other priority
    keys = [f"tm:{{{queue}}}:{part}" for part in parts]
    job = uuid.uuid4()
    call = [len(keys), *keys, uuid.uuid4().bytes, 0, 1, job.bytes, b"", envelope(kind, args)]  # a producer for each call
    try:
        _, outcomes = await r.evalsha(hashlib.sha1(script).hexdigest(), *call)
    except NoScriptError:
        _, outcomes = await r.eval(script, *call)
    return job, outcomes

async def main(url, queue, kind, lua):
    script = b"".join(pathlib.Path(lua, name).read_bytes() for name in ("basics.lua", "enqueue.lua"))
    r = redis.from_url(url)
    await r.sadd("tm:queues", queue)  # once, before the first use of a queue
    job, outcomes = await enqueue(r, script, queue, kind, sys.stdin.buffer.read())
    print(job if outcomes == b"" else f"not created: {outcomes}")
    await r.connection_pool.disconnect()

asyncio.run(main(*sys.argv[1:]))
