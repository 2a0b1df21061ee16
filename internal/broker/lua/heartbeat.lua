-- heartbeat: registers and extends the sessions of a process, one for each queue, and answers what its timers and its
-- bookkeeping need. One call for all queues; in Cluster one for each.
-- KEYS: for each queue: fixed, running, lanes
-- ARGV: ttl ms, number of queues, then four for each queue: session, mode (new, keep, bye), reconcile from token,
--       reconcile to token ('0' = not now)
-- RETURNS: now_us, then an array for each queue: word (OK, LOST, BYE or an error), last claim token, claimable, paused,
--          next due ms, time of the next possible recovery ms, expired sessions, cancels (id, token, ...), size of
--          running up to the token, reconcile page (id, token, ...), sweep (1 = retention has work)
-- ERRORS: none; an error of one queue stands as its word
local err
local now_us, now = clock()
local ttl, queues = tonumber(ARGV[1]), tonumber(ARGV[2])

-- guard notices a time when no heartbeat came through (an outage, a freeze, a jump of the clock): every session looks
-- expired then, and none is to be recovered before it had the chance to come back.
local function guard(sizes, beat)
  if beat and math.abs(now - beat) <= ttl / 2 and now >= beat or not beat and sizes[N_SESSIONS] == 0 then
    return
  end
  call('HSET', META, 'no_recover_until', int(now + max(ttl, 5000)))
  local far = call('ZRANGEBYSCORE', SESSIONS, '(' .. int(now + ttl), '+inf', 'LIMIT', 0, 1000)
  for i = 1, #far do
    call('ZADD', SESSIONS, int(now + ttl), far[i])
  end
end

-- keep extends the session and answers LOST where it is not there to be extended.
local function keep(session, mode, running, lanes)
  local expiry = call('ZSCORE', SESSIONS, session)
  if mode == 'bye' then
    if expiry and tonumber(expiry) >= 0 and running == 0 then
      call('ZREM', SESSIONS, session)
      call('DEL', lanes)
      return 'BYE'
    end
    return expiry and 'OK' or 'BYE'
  end
  if expiry and tonumber(expiry) < 0 or not expiry and mode ~= 'new' then
    return 'LOST'
  end
  call('ZADD', SESSIONS, int(now + ttl), session)
  return 'OK'
end

-- lapsed lists the sessions to recover, and when the next one may be.
local function lapsed(own, no_recover_until)
  if now < no_recover_until then
    return {}, int(no_recover_until)
  end
  local expired = call('ZRANGEBYSCORE', SESSIONS, '-inf', int(now), 'LIMIT', 0, 16)
  local next_ = call('ZRANGEBYSCORE', SESSIONS, '(' .. int(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
  for i = 1, #next_, 2 do
    if next_[i] ~= own then
      return expired, int(tonumber(next_[i + 1]))
    end
  end
  return expired, ''
end

local function serve(at, session, mode, from, to)
  bind(at)
  local running_key = KEYS[at + 24]
  local bad = shrink()
  if bad then return {bad.err} end
  local sizes
  sizes, bad = measure('ZCARD', running_key, 'HLEN', KEYS[at + 25])
  if bad then return {bad.err} end
  local meta = call('HMGET', META, 'beat', 'no_recover_until', 'token', 'paused')
  local running = call('ZCARD', running_key)
  if mode ~= 'bye' then
    guard(sizes, tonumber(meta[1]))
    call('HSET', META, 'beat', int(now), 'ttl', int(ttl))
  end
  local word = keep(session, mode, running, KEYS[at + 25])
  local due = head_due()
  if due and mode ~= 'keep' and sizes[N_DUE] == 0 then
    call('RPUSH', DUE, '1') -- who held the timer may be gone, or goes now
  end
  local claimable = sizes[N_SUSPECT]
  for p = 0, 9 do
    claimable = claimable + sizes[READY + p]
  end
  local expired, next_ = lapsed(session, tonumber(call('HGET', META, 'no_recover_until') or '0'))
  local page, size = {}, 0
  if to ~= '0' then
    size = call('ZCOUNT', running_key, '-inf', to)
    page = call('ZRANGEBYSCORE', running_key, '(' .. from, to, 'WITHSCORES', 'LIMIT', 0, 400)
    for i = 2, #page, 2 do
      page[i] = int(tonumber(page[i]))
    end
  end
  local cancels = {}
  if sizes[N_CANCELS] > 0 and running > 0 then
    cancels = call('HGETALL', CANCELS)
  end
  local first = call('ZRANGE', FINISHED, 0, 0, 'WITHSCORES')
  local oldest = call('ZRANGE', DEAD, 0, 0, 'WITHSCORES')
  local keep_dead = tonumber(call('HGET', META, 'keep_dead') or '7776000000')
  local sweep = first[2] and tonumber(first[2]) <= now or oldest[2] and tonumber(oldest[2]) <= now - keep_dead
  return {word, meta[3] or '0', claimable > 0 and 1 or 0, meta[4] == '1' and 1 or 0, due and int(due) or '', next_,
    expired, cancels, size, page, sweep and 1 or 0}
end

local out = {int(now_us)}
for i = 1, queues do
  out[i + 1] = serve((i - 1) * 25, ARGV[4 * i - 1], ARGV[4 * i], ARGV[4 * i + 1], ARGV[4 * i + 2])
end
return out
