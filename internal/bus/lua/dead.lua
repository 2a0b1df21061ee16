-- dead: a message of a member -> those that its group gave up, in one step.
-- KEYS: stream, crashed, given-up
-- ARGV: group, session, position, deliveries, error, age at which the given up are forgotten ms, the message's bytes
-- RETURNS: now_us, word (OK, LOST = it was not the caller's)
-- ERRORS: WRONGKEY
local STREAM, CRASHED, GIVEN = KEYS[1], KEYS[2], KEYS[3]
local group, session, id = ARGV[1], ARGV[2], ARGV[3]
local err = measure('XLEN', STREAM, 'HLEN', CRASHED, 'XLEN', GIVEN)
if err then return err end
shrink(CRASHED)
local now_us, now = clock()
local owner = call('XPENDING', STREAM, group, id, id, 1)
if not owner[1] or owner[1][2] ~= session then
  return {int(now_us), 'LOST'}
end
call('XADD', GIVEN, 'MINID', '~', int(max(now - tonumber(ARGV[6]), 0)), '*', 'm', ARGV[7], 'p', id, 'a', ARGV[4], 'e', ARGV[5])
call('XACK', STREAM, group, id)
call('HDEL', CRASHED, id)
return {int(now_us), 'OK'}
