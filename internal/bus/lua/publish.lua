-- publish: a batch of messages -> the end of the topic's stream, each also to those who listen to the topic's channel now,
-- and one hint for the members of its groups. What retention no longer keeps is dropped.
-- KEYS: stream, about
-- ARGV: publish command (PUBLISH or SPUBLISH), channel, hint channel, retention ('-' = as it was set last, '' = keep all,
--       else MAXLEN n and MINID ms of age), where there is no stream (make, or leave = to the channel only), messages...
-- RETURNS: now_us, position of the last message ('' = there is no stream), made (1 = there was no stream before)
-- ERRORS: WRONGKEY, OOM (nothing was stored or sent), and a channel that the user may not use (likewise)
local STREAM, ABOUT = KEYS[1], KEYS[2]
local publish, channel, hints, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local err = measure('XLEN', STREAM, 'HLEN', ABOUT)
if err then return err end
local now_us, now = clock()
local there = call('EXISTS', STREAM) == 1
local stored = there or ARGV[5] == 'make'
local last = ''
if stored then -- first, as the user may not be allowed to: nobody can read before all of this is done
  local hinted = pcall('PUBLISH', hints, 'n')
  if type(hinted) == 'table' and hinted.err then
    return redis.error_reply(hinted.err)
  end
end
for i = 6, #ARGV do
  if stored then
    last = pcall('XADD', STREAM, '*', 'm', ARGV[i])
    if type(last) == 'table' then -- only the first can fail, a full Redis: nothing is done by then
      return redis.error_reply(last.err)
    end
  end
  local sent = pcall(publish, channel, ARGV[i])
  if type(sent) == 'table' and sent.err then -- likewise, a channel that the user may not use: what was stored is taken back
    if there then
      call('XDEL', STREAM, last)
    elseif stored then
      call('UNLINK', STREAM)
    end
    return redis.error_reply(sent.err)
  end
end
if stored then
  local was = call('HGET', ABOUT, 'keep') or ''
  if keep == '-' then
    keep = was
  elseif keep ~= was then
    call('HSET', ABOUT, 'keep', keep)
  end
  trim(STREAM, ABOUT, keep, now)
end
return {int(now_us), last, (stored and not there) and 1 or 0}
