-- fence: begins the next run of an input at its lane: calls of earlier runs that are still on their way are stale from
-- here on. Idempotent. A number is the run, shifted by 40 bits, plus the place in the input of the call's last job.
-- KEYS: producers, meta
-- ARGV: producer, lane, run, create (1 = where there is no record, begin one)
-- RETURNS: now_us, known (1 = the lane has a record, 0 = not), place (of the last job that was taken)
-- ERRORS: STALE, WRONGKEY, OOM
local shared = basics()
local int, wrong, stale = shared.int, shared.wrong, shared.stale
PRODUCERS, META = KEYS[1], KEYS[2]
for i = 1, 2 do -- typed reads, before the first write
  local size = pcall('HLEN', KEYS[i])
  if type(size) == 'table' then return wrong(KEYS[i], size.err) end
end
local now_us, now = shared.clock()
local field, shift = ARGV[1] .. ARGV[2], 2 ^ 40
local last = shared.lane_record(PRODUCERS, field)
if last == 0 and ARGV[4] ~= '1' then
  return {int(now_us), 0, 0}
end
local known = last > 0 and 1 or 0
local place = last % shift
if (last - place) / shift > tonumber(ARGV[3]) then
  return stale(last)
end
local seq = tonumber(ARGV[3]) * shift + place
if seq ~= last then
  if last == 0 then shared.admit(now) end
  local r = pcall('HSET', PRODUCERS, field, int(seq) .. ' ' .. int(now) .. ' ')
  if type(r) == 'table' then
    return redis.error_reply(r.err)
  end
end
return {int(now_us), known, int(place)}
