-- pause, resume: while a queue is paused nothing is claimed from it; what runs goes on.
-- KEYS: fixed
-- ARGV: server time in ms after which the call is void, 1 = pause / 0 = resume
-- RETURNS: now_us, 1 = changed / 0 = it was so already
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[1]) then return redis.error_reply('EXPIRED call') end
local was = call('HGET', META, 'paused') == '1' and '1' or '0'
if ARGV[2] == '1' then
  call('HSET', META, 'paused', '1')
  call('DEL', WAKE)
else
  call('HDEL', META, 'paused')
  wake(sizes, 1)
end
return {int(now_us), was == ARGV[2] and 0 or 1}
