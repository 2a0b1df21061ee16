-- redrive: messages that a group gave up -> the end of the stream, for that group alone; at most 100 a call.
-- KEYS: stream, given-up
-- ARGV: group, hint channel, last position to take (+ = all), then each position to take (none = all up to the last)
-- RETURNS: now_us, word (DONE, MORE = call again, NOGROUP), moved
-- ERRORS: WRONGKEY, OOM (nothing more was moved)
local STREAM, GIVEN = KEYS[1], KEYS[2]
local group, hints, last = ARGV[1], ARGV[2], ARGV[3]
local err = measure('XLEN', STREAM, 'XLEN', GIVEN)
if err then return err end
local now_us = clock()
local groups = pcall('XPENDING', STREAM, group)
if groups.err then return {int(now_us), 'NOGROUP', 0} end
local list
if #ARGV > 3 then
  list = {}
  for i = 4, #ARGV do
    list[#list + 1] = call('XRANGE', GIVEN, ARGV[i], ARGV[i])[1]
  end
else
  list = call('XRANGE', GIVEN, '-', last, 'COUNT', 100)
end
local moved = 0
for i = 1, #list do
  local added = pcall('XADD', STREAM, '*', 'm', content(list[i][2]) or '', 'g', group)
  if type(added) == 'table' then
    return redis.error_reply(added.err)
  end
  call('XDEL', GIVEN, list[i][1])
  moved = moved + 1
end
if moved > 0 then
  pcall('PUBLISH', hints, 'n') -- a user who may not costs the members a moment
end
return {int(now_us), (#ARGV == 3 and #list == 100) and 'MORE' or 'DONE', moved}
