-- settle: messages of a member -> done, or counted as to be delivered to it again. Done is done, also where the session is
-- over; another delivery is counted only where the message is still the caller's.
-- KEYS: stream, crashed
-- ARGV: group, session, number done, then each position done, then two for each to deliver again: position, deliveries
-- RETURNS: now_us, number done, positions that were not the caller's
-- ERRORS: WRONGKEY
local STREAM, CRASHED = KEYS[1], KEYS[2]
local group, session, done = ARGV[1], ARGV[2], tonumber(ARGV[3])
local err = measure('XLEN', STREAM, 'HLEN', CRASHED)
if err then return err end
local now_us = clock()
local n, crashes = 0, call('HLEN', CRASHED)
for i = 4, done + 3, STEP do
  local upto = min(i + STEP - 1, done + 3)
  n = n + call('XACK', STREAM, group, unpack(ARGV, i, upto))
  if crashes > 0 then
    call('HDEL', CRASHED, unpack(ARGV, i, upto))
  end
end
local lost = {}
for i = done + 4, #ARGV, 2 do
  local id = ARGV[i]
  local owner = call('XPENDING', STREAM, group, id, id, 1)
  if owner[1] and owner[1][2] == session then
    call('XCLAIM', STREAM, group, session, 0, id, 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  else
    lost[#lost + 1] = id
  end
end
return {int(now_us), n, lost}
