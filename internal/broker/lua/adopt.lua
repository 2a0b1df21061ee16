-- adopt: a session that is not listed though it has jobs is listed as lost, so that recover takes them; one that is not
-- listed and has call records alone is cleared away; one that would expire much too late expires in time.
-- KEYS: fixed, running, lanes (of the session)
-- ARGV: server time in ms after which the call is void ('' = only look), session, ms within which any session expires unless it beats, ttl ms
-- RETURNS: now_us, word (LOST, CLEARED, CLAMPED, SOUND: what was done, or is to be), jobs that it has
-- ERRORS: WRONGKEY, EXPIRED
local RUNNING, LANES = KEYS[24], KEYS[25]
local err = shrink()
if err then return err end
local sizes
sizes, err = measure('ZCARD', RUNNING, 'HLEN', LANES)
if err then return err end
local now_us, now = clock()
if expired(ARGV[1], now) then return redis.error_reply('EXPIRED call') end
local dry, session = ARGV[1] == '', ARGV[2]
local expiry, jobs, lanes = call('ZSCORE', SESSIONS, session), call('ZCARD', RUNNING), call('HLEN', LANES)
local word = 'SOUND'
if not expiry and jobs > 0 then
  word = 'LOST'
  if not dry then
    call('ZADD', SESSIONS, '-1', session)
  end
elseif not expiry and lanes > 0 then
  word = 'CLEARED'
  if not dry then
    call('UNLINK', LANES)
  end
elseif expiry and tonumber(expiry) > now + tonumber(ARGV[3]) then
  word = 'CLAMPED'
  if not dry then
    call('ZADD', SESSIONS, int(now + tonumber(ARGV[4])), session)
  end
end
return {int(now_us), word, jobs}
