-- delete: a job in any state but running -> gone, with its record and result. Several a call.
-- KEYS: fixed, then running of every session
-- ARGV: ids (16 bytes each), server time in ms after which the call is void, then every session, in the order of KEYS
-- RETURNS: now_us, word (OK, CHANGED = other sessions, read them again), outcomes (a letter each: x deleted, r runs:
--          refused, u unknown)
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
local before, gone, seen, words = head_due(), {}, {}, {}
for i = 1, #ids do
  local id = ids[i]
  local size = call('HSTRLEN', JOBS, id)
  if size == 0 or seen[id] or size == 2 and tombstone(call('HGET', JOBS, id)) then
    words[i] = 'u'
  elseif running[id] then
    words[i] = 'r'
  else
    if call('ZREM', SCHEDULED, id) + call('ZREM', DEAD, id) + call('ZREM', FINISHED, id) == 0 then
      leave_ghost(id, call('HGET', STATE, id), sizes)
    end
    seen[id] = true
    gone[#gone + 1] = id
    words[i] = 'x'
  end
end
if #gone > 0 then
  arm(before, sizes)
  bury(gone, sizes)
  tally('deleted', #gone)
end
return {int(now_us), 'OK', table.concat(words)}
