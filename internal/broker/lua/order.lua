-- order: tells one worker process what to do: quiet, resume or stop; or, in a field of its own, how much to log. It reads the order when it is hinted at, when it
-- connects anew, and each minute.
-- KEYS: orders
-- ARGV: server time in ms after which the call is void, field (the instance, or for the level the instance/log-level), order
-- RETURNS: now_us, the order as it stands now: its word and the time, ms
-- ERRORS: WRONGKEY, EXPIRED
local shared = basics()
local int = shared.int
local probe = pcall('HDEL', KEYS[1], '') -- it cannot grow: made first, it lets the rest run at maxmemory
if type(probe) == 'table' then return shared.wrong(KEYS[1], probe.err) end
local now_us, now = shared.clock()
if now > tonumber(ARGV[1]) then return redis.error_reply('EXPIRED call') end
local order = ARGV[3] .. ' ' .. int(now)
call('HSET', KEYS[1], ARGV[2], order)
return {int(now_us), order}
