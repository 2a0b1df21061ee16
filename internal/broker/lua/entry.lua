-- entry: mends the list entries of one id, seen at these places. Without a job they become stale ones that are on the books,
-- which the next claims drop; so they do where a sorted set holds the job, unless it is dead, which it ceases to be; and
-- where there are several, for one that is new, at the head.
-- KEYS: fixed, then running of every session
-- ARGV: server time in ms after which the call is void ('' = only look), entry, places (see standing), then every session, in
--       the order of KEYS
-- RETURNS: now_us, word (OK = mended, or to be, SOUND, MOVED = it is not at those places any more, FULL = it moved too often,
--          and nothing was done, CHANGED = other sessions, read them again)
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if expired(ARGV[1], now) then return redis.error_reply('EXPIRED call') end
if not same_sessions(4) then return {int(now_us), 'CHANGED'} end
local dry, id, generation = ARGV[1] == '', sub(ARGV[2], 1, 16), byte(ARGV[2], 17) or 0
local n, suspects = standing(ARGV[3], ARGV[2])
if not n then return {int(now_us), 'MOVED'} end
local envelope, record = call('HGET', JOBS, id), call('HGET', STATE, id)

if not envelope then
  if not dry then
    call('HSET', JOBS, id, char(0, min(n, 255)))
    call('HDEL', STATE, id)
    tally('ghosts', min(n, 255))
    tally('suspect_ghosts', suspects)
  end
  return {int(now_us), 'OK'}
end
if tombstone(envelope) or (record and byte(record, 3) or 0) ~= generation then return {int(now_us), 'SOUND'} end
local found
found, err = holds(id, 4)
if err then return err end
if #found == 0 and n < 2 then return {int(now_us), 'SOUND'} end
if dry then return {int(now_us), 'OK'} end
if #found > 0 and found[1].key == DEAD and n == 1 then
  call('ZREM', DEAD, id)
  return {int(now_us), 'OK'}
end
record = bump(id, n, suspects, sizes)
if not record then return {int(now_us), 'FULL'} end
if #found == 0 or found[1].key == DEAD then
  call('ZREM', DEAD, id)
  front({id}, {envelope}, {record})
  wake(sizes, 1)
end
return {int(now_us), 'OK'}
