-- requeue: a job that is in no state -> ready, or dead where its envelope cannot be read. Several a call. It gets the next
-- generation, so that an entry of it that was overlooked is stale.
-- KEYS: fixed, then running of every session
-- ARGV: server time in ms after which the call is void ('' = only look), ids (16 bytes each), state record ('' = ready; else
--       the jobs are dead, with it), then every session, in the order of KEYS
-- RETURNS: now_us, word (OK, CHANGED = other sessions, read them again), outcomes (a letter each: m mended, or to be; s
--          sound; f it moved too often, and nothing was done)
-- ERRORS: WRONGKEY, EXPIRED
local WINDOW = 1000 -- entries at either end of a list: there is what moved a moment ago
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if expired(ARGV[1], now) then return redis.error_reply('EXPIRED call') end
if not same_sessions(4) then return {int(now_us), 'CHANGED', ''} end
local ids, seen = split16(ARGV[2]), {}

local function ends(list)
  if not seen[list] then
    seen[list] = {}
    for _, part in ipairs({call('LRANGE', list, 0, WINDOW - 1), call('LRANGE', list, -WINDOW, -1)}) do
      for i = 1, #part do
        seen[list][part[i]] = true
      end
    end
  end
  return seen[list]
end

local function mend(id, envelope)
  local record = bump(id, 0, 0, sizes)
  if not record then return 'f' end
  if ARGV[3] ~= '' then
    call('HSET', STATE, id, sub(ARGV[3], 1, 2) .. sub(record, 3, 4) .. sub(ARGV[3], 5))
    call('ZADD', DEAD, int(now), id)
    tally('died', 1)
  else
    call('RPUSH', has(record, SUSPECTED) and SUSPECT or ready(priority(envelope)), entry(id, record))
    wake(sizes, 1)
  end
  return 'm'
end

local words = {}
for i = 1, #ids do
  local id, found = ids[i], nil
  local envelope, record = call('HGET', JOBS, id), whole(call('HGET', STATE, id))
  found, err = holds(id, 4)
  if err then return err end
  local list = has(record, SUSPECTED) and SUSPECT or ready(priority(envelope))
  if not envelope or tombstone(envelope) or #found > 0 or ends(list)[entry(id, record)] then
    words[i] = 's'
  else
    words[i] = ARGV[1] == '' and 'm' or mend(id, envelope)
  end
end
return {int(now_us), 'OK', table.concat(words)}
