-- cancel: ready or scheduled -> cancelled; a running job is marked, its worker (or recover) ends it.
-- KEYS: fixed, then running of every session
-- ARGV: id, server time in ms after which the call is void, then every session, in the order of KEYS
-- RETURNS: now_us, word (CANCELLED, RUNNING = marked, DEAD, FINISHED, UNKNOWN, CHANGED = other sessions, read them
--          again), session that runs it ('' otherwise)
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[2]) then return redis.error_reply('EXPIRED call') end
local id = ARGV[1]
local envelope, record = call('HGET', JOBS, id), call('HGET', STATE, id)
if not envelope or tombstone(envelope) then return {int(now_us), 'UNKNOWN', ''} end
if call('ZSCORE', DEAD, id) then return {int(now_us), 'DEAD', ''} end
if call('ZSCORE', FINISHED, id) then return {int(now_us), 'FINISHED', ''} end
local function done()
  call('HINCRBY', META, 'cancelled', 1)
  return {int(now_us), 'CANCELLED', ''}
end
local before = head_due()
if call('ZREM', SCHEDULED, id) == 1 then
  arm(before, sizes)
  retire(id, envelope, record, CANCELLED, sizes, now)
  return done()
end
local at, err2 = locate_running(id, 3)
if err2 then return err2 end
if not at then return {int(now_us), 'CHANGED', ''} end
if at.session then
  call('HSET', CANCELS, id, at.token)
  return {int(now_us), 'RUNNING', at.session}
end
retire(id, envelope, leave_ghost(id, record, sizes), CANCELLED, sizes, now)
return done()
