-- drop: groups with all that is theirs -> gone, and where it is asked for the topic itself; not while a member lives.
-- KEYS: stream, about, then members, crashed and given-up of each group
-- ARGV: what (groups, topic), then each group, in the order of KEYS
-- RETURNS: now_us, word (DONE, BUSY = a member lives, GONE = there was none, OTHERS = the topic has other groups), members alive
-- ERRORS: WRONGKEY
local STREAM, ABOUT = KEYS[1], KEYS[2]
local err = measure('XLEN', STREAM, 'HLEN', ABOUT)
if err then return err end
local now_us, now = clock()
local function answer(word, n) return {int(now_us), word, n or 0} end
for i = 3, #KEYS, 3 do
  err = measure('ZCARD', KEYS[i], 'HLEN', KEYS[i + 1], 'XLEN', KEYS[i + 2])
  if err then return err end
  local alive = call('ZCOUNT', KEYS[i], int(now), '+inf')
  if alive > 0 then return answer('BUSY', alive) end
end
local had = call('EXISTS', STREAM)
if ARGV[1] == 'topic' and had == 1 and #call('XINFO', 'GROUPS', STREAM) ~= #ARGV - 1 then
  return answer('OTHERS')
end
shrink(ABOUT)
for i = 2, #ARGV do
  local at = 3 * (i - 1)
  if had == 1 and ARGV[1] == 'groups' then
    had = call('XGROUP', 'DESTROY', STREAM, ARGV[i])
  end
  call('HDEL', ABOUT, 'beat:' .. ARGV[i], 'until:' .. ARGV[i], 'missed:' .. ARGV[i], 'tell:' .. ARGV[i])
  call('UNLINK', KEYS[at], KEYS[at + 1], KEYS[at + 2])
end
if ARGV[1] == 'topic' then
  call('UNLINK', STREAM, ABOUT)
end
return answer(had == 1 and 'DONE' or 'GONE')
