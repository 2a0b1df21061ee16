-- shelve: messages that a member read ahead and that no consumer of it came for -> whoever has room. They wait on a shelf, which
-- counts as a member that left by itself.
-- KEYS: stream, about, members
-- ARGV: group, session, shelf, hint channel, then two for each message: position, deliveries
-- RETURNS: now_us, number of those that were the caller's
-- ERRORS: WRONGKEY
local STREAM, ABOUT, MEMBERS = KEYS[1], KEYS[2], KEYS[3]
local group, session, shelf, hints = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local err = measure('XLEN', STREAM, 'HLEN', ABOUT, 'ZCARD', MEMBERS)
if err then return err end
shrink(ABOUT)
local now_us = clock()
local n = 0
for i = 5, #ARGV, 2 do
  local owner = call('XPENDING', STREAM, group, ARGV[i], ARGV[i], 1)
  if owner[1] and owner[1][2] == session then
    if n == 0 then
      call('ZADD', MEMBERS, LEFT, shelf)
    end
    call('XCLAIM', STREAM, group, shelf, 0, ARGV[i], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
    n = n + 1
  end
end
if n > 0 then
  pcall('PUBLISH', hints, 'l')
end
return {int(now_us), n}
