-- cancel: ready or scheduled -> cancelled; a running job is marked, its worker (or recover) ends it. Several a call.
-- KEYS: fixed, then running of every session
-- ARGV: ids (16 bytes each), server time in ms after which the call is void, then every session, in the order of KEYS
-- RETURNS: now_us, word (OK, CHANGED = other sessions, read them again), outcomes (a letter each: c cancelled, r runs and
--          is marked, d dead, f finished, u unknown)
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[2]) then return redis.error_reply('EXPIRED call') end
local ids = split16(ARGV[1])
local running
running, err = locate_running(ids, 3)
if err then return err end
if not running then return {int(now_us), 'CHANGED', ''} end
local before, cancelled = head_due(), 0

local function cancel(id)
  local envelope, record = call('HGET', JOBS, id), call('HGET', STATE, id)
  if not envelope or tombstone(envelope) then return 'u' end
  if call('ZSCORE', DEAD, id) then return 'd' end
  if call('ZSCORE', FINISHED, id) then return 'f' end
  if running[id] then
    call('HSET', CANCELS, id, running[id].token)
    return 'r'
  end
  if call('ZREM', SCHEDULED, id) == 0 then
    record = leave_ghost(id, record, sizes)
  end
  retire(id, envelope, record, CANCELLED, sizes, now)
  cancelled = cancelled + 1
  return 'c'
end

local words = {}
for i = 1, #ids do
  words[i] = cancel(ids[i])
end
if cancelled > 0 then
  arm(before, sizes)
  tally('cancelled', cancelled)
end
return {int(now_us), 'OK', table.concat(words)}
