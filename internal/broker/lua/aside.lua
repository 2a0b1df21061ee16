-- aside: a key that holds another type than ours gets another name, with what it holds.
-- KEYS: key, new name
-- ARGV: server time in ms after which the call is void ('' = only look), type that it should have
-- RETURNS: now_us, word (OK = done, or to be, SOUND)
-- ERRORS: EXPIRED
local now_us, now = clock()
if expired(ARGV[1], now) then return redis.error_reply('EXPIRED call') end
local type_ = call('TYPE', KEYS[1])
type_ = type_.ok or type_
if type_ == 'none' or type_ == ARGV[2] or call('EXISTS', KEYS[2]) == 1 then return {int(now_us), 'SOUND'} end
if ARGV[1] ~= '' then
  call('RENAME', KEYS[1], KEYS[2])
end
return {int(now_us), 'OK'}
