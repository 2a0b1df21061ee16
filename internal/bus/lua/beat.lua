-- beat: registers, extends or ends a member of a group, and answers what there is to do for it. Registering makes the group,
-- and the stream, where there is none.
-- KEYS: stream, about, members
-- ARGV: group, session, mode (new, keep, bye), ttl ms, hint channel, where a new group begins (the position before its
--       first message, $ = the end), time us of the gap that the caller's consumers were told of last
-- RETURNS: now_us, word (OK, LOST, NOGROUP, BYE = gone, LEFT = gone, and others take what it had), undelivered (1 = there
--          are messages for the group), time of the next possible recovery ms, gone sessions (16 at most), position behind
--          which retention dropped messages that the group had not had ('' = none), time us of that gap
-- ERRORS: WRONGKEY
local STREAM, ABOUT, MEMBERS = KEYS[1], KEYS[2], KEYS[3]
local group, session, mode, ttl, hints = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local err = measure('XLEN', STREAM, 'HLEN', ABOUT, 'ZCARD', MEMBERS)
if err then return err end
shrink(ABOUT)
local now_us, now = clock()
local BEAT, UNTIL = 'beat:' .. group, 'until:' .. group

-- about_group answers the group's number of consumers and last delivered position, or nil.
local function about_group()
  local groups = pcall('XINFO', 'GROUPS', STREAM)
  if groups.err then return end
  for i = 1, #groups do
    local g = fields(groups[i])
    if g['name'] == group then
      return g['consumers'], g['last-delivered-id']
    end
  end
end

local function pending() return #call('XPENDING', STREAM, group, '-', '+', 1, session) > 0 end

-- guard notices a time when no heartbeat came through (an outage, a freeze, a jump of the clock): every member looks dead
-- then, and none is to lose its messages before it had the chance to come back. All beat at least every 2 s, so that no
-- expiry needs to be further away than that of who looks.
local function guard(beat, members)
  if beat and math.abs(now - beat) <= ttl / 2 and now >= beat or not beat and members == 0 then
    return
  end
  call('HSET', ABOUT, UNTIL, int(now + max(ttl, 5000)))
  local far = call('ZRANGEBYSCORE', MEMBERS, '(' .. int(now + max(ttl, 6000)), '+inf', 'LIMIT', 0, STEP)
  for i = 1, #far do
    call('ZADD', MEMBERS, int(now + max(ttl, 6000)), far[i])
  end
end

-- adopt puts consumers that no session stands behind among the members, to be recovered when their time is over: a read that
-- came through late, after its session was over, would leave messages with nobody.
local function adopt(consumers)
  if consumers <= call('ZCARD', MEMBERS) then return end
  local list = call('XINFO', 'CONSUMERS', STREAM, group)
  for i = 1, #list do
    local name = fields(list[i])['name']
    if not call('ZSCORE', MEMBERS, name) then
      call('ZADD', MEMBERS, int(now + ttl), name)
    end
  end
end

-- lapsed lists the sessions to recover, and when the next one may be.
local function lapsed()
  local until_ = tonumber(call('HGET', ABOUT, UNTIL) or '0')
  if now < until_ then
    return call('ZRANGEBYSCORE', MEMBERS, '-inf', '(0', 'LIMIT', 0, 16), int(until_)
  end
  local gone = call('ZRANGEBYSCORE', MEMBERS, '-inf', int(now), 'LIMIT', 0, 16)
  local next_ = call('ZRANGEBYSCORE', MEMBERS, '(' .. int(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
  for i = 1, #next_, 2 do
    if next_[i] ~= session then
      return gone, int(tonumber(next_[i + 1]))
    end
  end
  return gone, ''
end

-- untold answers the position and the time of the group's gap that nobody was told of yet. It stays the caller's to tell until
-- the caller says that it did, or is gone: the answer to a heartbeat may be lost.
local TELL, MISSED = 'tell:' .. group, 'missed:' .. group
local function untold()
  local whose, at, position = string.match(call('HGET', ABOUT, TELL) or '', '^(%S+) (%d+) (%S+)$')
  if whose and whose ~= session and tonumber(call('ZSCORE', MEMBERS, whose) or LOST) >= 0 then
    return '', ''
  end
  if not whose then
    at, position = int(now_us), call('HGET', ABOUT, MISSED)
    if not position then return '', '' end
    call('HDEL', ABOUT, MISSED)
  end
  call('HSET', ABOUT, TELL, session .. ' ' .. at .. ' ' .. position)
  return position, at
end

if string.find(call('HGET', ABOUT, TELL) or '', session .. ' ' .. ARGV[7] .. ' ', 1, true) == 1 then
  call('HDEL', ABOUT, TELL)
end
local consumers, last = about_group()
local score = call('ZSCORE', MEMBERS, session)
local function answer(word, undelivered, next_, gone, missed, at)
  return {int(now_us), word, undelivered or 0, next_ or '', gone or {}, missed or '', at or ''}
end

if mode == 'bye' then
  if not consumers or not score or tonumber(score) < 0 then
    return answer('BYE')
  end
  if not pending() then
    call('XGROUP', 'DELCONSUMER', STREAM, group, session)
    call('ZREM', MEMBERS, session)
    return answer('BYE')
  end
  call('ZADD', MEMBERS, LEFT, session)
  pcall('PUBLISH', hints, 'l') -- a user who may not costs the others a moment
  return answer('LEFT')
end
if mode == 'keep' and not consumers then
  return answer('NOGROUP')
end
if score and tonumber(score) < 0 or mode == 'keep' and not score then
  return answer('LOST')
end
if not consumers then
  call('XGROUP', 'CREATE', STREAM, group, ARGV[6], 'MKSTREAM')
end
guard(tonumber(call('HGET', ABOUT, BEAT) or nil), call('ZCARD', MEMBERS))
call('HSET', ABOUT, BEAT, int(now))
call('ZADD', MEMBERS, int(now + ttl), session)
if mode == 'new' then
  call('XGROUP', 'CREATECONSUMER', STREAM, group, session)
  consumers, last = about_group()
end
adopt(consumers)
trim(STREAM, ABOUT, call('HGET', ABOUT, 'keep') or '', now)
local undelivered = #call('XRANGE', STREAM, '(' .. last, '+', 'COUNT', 1)
local gone, next_ = lapsed()
return answer('OK', undelivered, next_, gone, untold())
