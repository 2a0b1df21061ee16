-- clear: what is left of jobs that are gone goes: members of sorted sets, state records, results, cancel marks. Of a job
-- that is there a cancel mark that names no claim of it goes, and a state record that is cut off is made whole. Several a call.
-- KEYS: fixed, then running of every session
-- ARGV: server time in ms after which the call is void ('' = only look), ids (16 bytes each), then every session, in the
--       order of KEYS
-- RETURNS: now_us, word (OK, CHANGED = other sessions, read them again), outcomes (a letter each: m mended, or to be; s
--          sound)
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if expired(ARGV[1], now) then return redis.error_reply('EXPIRED call') end
if not same_sessions(3) then return {int(now_us), 'CHANGED', ''} end
local dry, ids, before, words = ARGV[1] == '', split16(ARGV[2]), head_due(), {}

-- drop takes a field away, and answers whether it was there.
local function drop(key, id)
  if dry then return call('HEXISTS', key, id) == 1 end
  return call('HDEL', key, id) == 1
end

local function of_nobody(id, found)
  local some = #found > 0
  for j = 1, dry and 0 or #found do
    call('ZREM', found[j].key, id)
  end
  for _, key in ipairs({STATE, RESULTS, CANCELS}) do
    some = drop(key, id) or some
  end
  return some
end

local function of_job(id, found)
  local mark, named, some = call('HGET', CANCELS, id), false, false
  for j = 1, #found do
    named = named or found[j].token ~= nil and found[j].token == tonumber(mark or '')
  end
  if mark and not named then
    some = drop(CANCELS, id)
  end
  local record, cut = whole(call('HGET', STATE, id))
  if cut and not dry then
    call('HSET', STATE, id, record)
  end
  return some or cut
end

for i = 1, #ids do
  local found
  found, err = holds(ids[i], 3)
  if err then return err end
  local size = call('HSTRLEN', JOBS, ids[i])
  local job = size > 0 and not (size == 2 and tombstone(call('HGET', JOBS, ids[i])))
  words[i] = (job and of_job or of_nobody)(ids[i], found) and 'm' or 's'
end
if not dry then
  arm(before, sizes)
end
return {int(now_us), 'OK', table.concat(words)}
