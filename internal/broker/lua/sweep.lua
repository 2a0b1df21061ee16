-- sweep: forget finished jobs whose retention is over and jobs dead for longer than they are kept, at most 250 of
-- each a call; and the records of producers that were silent for as long as those are kept, a few at a time.
-- KEYS: fixed
-- ARGV: cursor over the producers ('0' = start)
-- RETURNS: now_us, finished forgotten, dead forgotten, next cursor
-- ERRORS: WRONGKEY
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
local finished = call('ZRANGEBYSCORE', FINISHED, '-inf', int(now), 'LIMIT', 0, 250)
if #finished > 0 then
  chunks('ZREM', FINISHED, finished)
  bury(finished, sizes)
end
local keep = tonumber(call('HGET', META, 'keep_dead') or '7776000000')
local dead = call('ZRANGEBYSCORE', DEAD, '-inf', int(now - keep), 'LIMIT', 0, 250)
if #dead > 0 then
  chunks('ZREM', DEAD, dead)
  bury(dead, sizes)
  tally('dead_purged', #dead)
end
local page = call('HSCAN', PRODUCERS, ARGV[1], 'COUNT', 100)
for i = 1, #page[2], 2 do
  local number, at = string.match(page[2][i + 1], '^(%d+) (%d+)')
  if now - tonumber(at or '0') > shared.kept(tonumber(number or '0')) then
    call('HDEL', PRODUCERS, page[2][i])
  end
end
return {int(now_us), #finished, #dead, page[1]}
