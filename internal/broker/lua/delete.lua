-- delete: a job in any state but running -> gone, with its record and result.
-- KEYS: fixed, then running of every session
-- ARGV: id, server time in ms after which the call is void, then every session, in the order of KEYS
-- RETURNS: now_us, word (DELETED, RUNNING = refused, UNKNOWN, CHANGED = other sessions, read them again), session
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[2]) then return redis.error_reply('EXPIRED call') end
local id = ARGV[1]
local envelope = call('HGET', JOBS, id)
if not envelope or tombstone(envelope) then return {int(now_us), 'UNKNOWN', ''} end
local before = head_due()
if call('ZREM', SCHEDULED, id) + call('ZREM', DEAD, id) + call('ZREM', FINISHED, id) == 0 then
  local at, err2 = locate_running(id, 3)
  if err2 then return err2 end
  if not at then return {int(now_us), 'CHANGED', ''} end
  if at.session then return {int(now_us), 'RUNNING', at.session} end
  leave_ghost(id, call('HGET', STATE, id), sizes)
end
arm(before, sizes)
bury({id}, sizes)
call('HINCRBY', META, 'deleted', 1)
return {int(now_us), 'DELETED', ''}
