-- edit: a job that does not run gets a new envelope, a new time, or both. A ready job that moves leaves a stale list
-- entry behind, which claims skip by its generation.
-- KEYS: fixed, then running of every session
-- ARGV: id, server time in ms after which the call is void, envelope ('' = as it is), due ('' = as it is; else 0 = now,
--       +ms = from now, ms = Unix time), the envelope as the caller read it, then every session, in the order of KEYS
-- RETURNS: now_us, word (EDITED, RUNNING, FINISHED, UNKNOWN, CONFLICT = it is another one by now, DEAD = it has no time
--          to be changed, MOVED = too often while it waited: it must run first, CHANGED)
-- ERRORS: WRONGKEY, EXPIRED, OOM
local sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[2]) then return redis.error_reply('EXPIRED call') end
local id, due = ARGV[1], ARGV[4]
local old, record = call('HGET', JOBS, id), call('HGET', STATE, id)
if not old or tombstone(old) then return {int(now_us), 'UNKNOWN'} end
if old ~= ARGV[5] then return {int(now_us), 'CONFLICT'} end
if call('ZSCORE', FINISHED, id) then return {int(now_us), 'FINISHED'} end
local dead = call('ZSCORE', DEAD, id)
if dead and due ~= '' then return {int(now_us), 'DEAD'} end
local running, err2 = locate_running({id}, 6)
if err2 then return err2 end
if not running then return {int(now_us), 'CHANGED'} end
if running[id] then return {int(now_us), 'RUNNING'} end

local envelope = ARGV[3] ~= '' and ARGV[3] or old
if record and byte(record, 4) >= MOVES - 1 then return {int(now_us), 'MOVED'} end -- the last one is for cancel and delete
-- The first write that could grow: a full Redis refuses it here, with nothing moved.
local r = pcall('HSET', JOBS, id, envelope)
if type(r) == 'table' then return redis.error_reply(r.err) end
if dead then return {int(now_us), 'EDITED'} end
local when
if due ~= '' then
  when = sub(due, 1, 1) == '+' and after(now_us, tonumber(due)) or tonumber(due)
end
local before, scheduled = head_due(), call('ZSCORE', SCHEDULED, id)
if scheduled and when then
  call('ZREM', SCHEDULED, id)
elseif not scheduled and (when and when > now or priority(envelope) ~= priority(old)) then
  record = leave_ghost(id, record, sizes)
else
  return {int(now_us), 'EDITED'}
end
if when and when > now then
  call('ZADD', SCHEDULED, int(when), id)
else
  call('RPUSH', has(record, SUSPECTED) and SUSPECT or ready(priority(envelope)), entry(id, record))
  wake(sizes, 1)
end
arm(before, sizes)
return {int(now_us), 'EDITED'}
