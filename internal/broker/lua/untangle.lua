-- untangle: a job that several sorted sets hold stays in one of them. Several a call.
-- KEYS: fixed, then running of every session
-- ARGV: server time in ms after which the call is void ('' = only look), ids (16 bytes each), then every session, in the
--       order of KEYS
-- RETURNS: now_us, word (OK, CHANGED = other sessions, read them again), outcomes (a letter each: m mended, or to be; s
--          sound)
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if expired(ARGV[1], now) then return redis.error_reply('EXPIRED call') end
if not same_sessions(3) then return {int(now_us), 'CHANGED', ''} end
local ids, before, words = split16(ARGV[2]), head_due(), {}
for i = 1, #ids do
  local found
  found, err = holds(ids[i], 3)
  if err then return err end
  words[i] = #found > 1 and 'm' or 's'
  for j = 2, ARGV[1] ~= '' and #found or 0 do
    call('ZREM', found[j].key, ids[i])
  end
end
if ARGV[1] ~= '' then
  arm(before, sizes)
end
return {int(now_us), 'OK', table.concat(words)}
