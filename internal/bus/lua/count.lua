-- count: how many messages of a stream lie behind a position, 1,000 at most a call, without sending any of them.
-- KEYS: stream
-- ARGV: position
-- RETURNS: now_us, number, the last one's position
-- ERRORS: WRONGKEY
local STREAM = KEYS[1]
local err = measure('XLEN', STREAM)
if err then return err end
local now_us = clock()
local page = call('XRANGE', STREAM, '(' .. ARGV[1], '+', 'COUNT', 1000)
return {int(now_us), #page, page[#page] and page[#page][1] or ARGV[1]}
