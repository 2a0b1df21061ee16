-- redrive: dead -> ready, with attempts and crashes counted anew; the error history stays.
-- KEYS: fixed
-- ARGV: server time in ms after which the call is void, id...
-- RETURNS: now_us, outcomes (a letter each: o ready again, n not dead, u unknown)
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[1]) then return redis.error_reply('EXPIRED call') end
local words = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local envelope = call('HGET', JOBS, id)
  if not envelope or tombstone(envelope) then
    words[#words + 1] = 'u'
  elseif call('ZREM', DEAD, id) == 0 then
    words[#words + 1] = 'n'
  else
    local record = call('HGET', STATE, id) or NEW
    record = sub(record, 1, 1) .. '\0' .. sub(record, 3, 4) .. '\0\0\0' .. sub(record, 8)
    call('HSET', STATE, id, record)
    call('RPUSH', ready(priority(envelope)), entry(id, record))
    tally('redriven', 1)
    wake(sizes, 1)
    words[#words + 1] = 'o'
  end
end
return {int(now_us), table.concat(words)}
