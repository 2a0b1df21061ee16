-- recount: sets numbers right that were found wrong, where they still are as they were seen. Several a call.
-- KEYS: fixed
-- ARGV: server time in ms after which the call is void ('' = only look), then five for each number: kind (id = stale entries
--       of a job, field = of meta), id or field, as it was seen (of a job "generation ghosts", generation -1 = gone), as it
--       is to be ('' = away with it), places of its stale entries (as of standing, each with the entry in hex; '' = need
--       not be looked at)
-- RETURNS: now_us, outcomes (a letter each: m mended, or to be; s it is another one by now)
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if expired(ARGV[1], now) then return redis.error_reply('EXPIRED call') end
local dry, words = ARGV[1] == '', {}

local function of_job(id, seen, to)
  local envelope, record = call('HGET', JOBS, id), call('HGET', STATE, id)
  if not envelope then return false end
  if tombstone(envelope) then
    if seen ~= '-1 ' .. byte(envelope, 2) then return false end
    if not dry and to > 0 then
      call('HSET', JOBS, id, char(0, to))
    elseif not dry then
      call('HDEL', JOBS, id)
    end
    return true
  end
  record = whole(record or NEW)
  if seen ~= byte(record, 3) .. ' ' .. byte(record, 4) then return false end
  if not dry then
    call('HSET', STATE, id, sub(record, 1, 3) .. char(to) .. sub(record, 5))
  end
  return true
end

local function of_meta(field, seen, to)
  if (call('HGET', META, field) or '') ~= seen then return false end
  if not dry and to ~= '' then
    call('HSET', META, field, to)
  elseif not dry then
    call('HDEL', META, field)
  end
  return true
end

for i = 2, #ARGV, 5 do
  local there = true
  for place, at, entry_ in string.gmatch(ARGV[i + 4], '(%d+):(%d+):(%x+)') do
    local raw = string.gsub(entry_, '%x%x', function(hex) return char(tonumber(hex, 16)) end)
    there = there and standing(place .. ':' .. at, raw)
  end
  local done = there and (ARGV[i] == 'id' and of_job(ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])) or
    ARGV[i] == 'field' and of_meta(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]))
  words[#words + 1] = done and 'm' or 's'
end
return {int(now_us), table.concat(words)}
