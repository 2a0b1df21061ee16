-- recover: messages that a gone member of the group left -> the caller, who is to deliver them again. A message that saw
-- several members die is one of those that may have killed them: the caller takes one such at a time, and at the limit it is
-- given up. Of who left by itself nothing is counted.
-- KEYS: stream, about, members, crashed, given-up
-- ARGV: group, session (the caller's), gone session, ttl ms, most messages, suspects (1 = it may take one), crash limit,
--       age at which the given up are forgotten ms
-- RETURNS: now_us, word (DONE, MORE = call again when there is room, WAIT = not now, ALIVE, GONE, LOST = the caller), given up,
--          messages: position, deliveries, crashes, fields
-- ERRORS: WRONGKEY
local STREAM, ABOUT, MEMBERS, CRASHED, GIVEN = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, session, gone, ttl, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local suspects, limit, forget = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local err = measure('XLEN', STREAM, 'HLEN', ABOUT, 'ZCARD', MEMBERS, 'HLEN', CRASHED, 'XLEN', GIVEN)
if err then return err end
shrink(ABOUT)
local now_us, now = clock()
local function answer(word, dead, messages) return {int(now_us), word, dead or 0, messages or {}} end

local own, score = call('ZSCORE', MEMBERS, session), call('ZSCORE', MEMBERS, gone)
if not own or tonumber(own) < 0 then return answer('LOST') end
if not score then return answer('GONE') end
score = tonumber(score)
if score > now then return answer('ALIVE') end
if score >= 0 then
  -- Judged here and not by the caller: the call may have waited in the socket of a server that was frozen.
  local beat = call('HMGET', ABOUT, 'beat:' .. group, 'until:' .. group)
  if now - tonumber(beat[1] or '0') > ttl / 2 or now < tonumber(beat[2] or '0') then
    return answer('WAIT')
  end
  call('ZADD', MEMBERS, LOST, gone) -- from here on no beat revives it
end
local crash = score == LEFT and 0 or 1

local function forgotten(id) -- the message was trimmed away
  call('XACK', STREAM, group, id)
  call('HDEL', CRASHED, id)
end

local function give_up(id, deliveries)
  local entry = call('XRANGE', STREAM, id, id)
  if #entry > 0 then
    call('XADD', GIVEN, 'MINID', '~', int(max(now - forget, 0)), '*', 'm', content(entry[1][2]) or '', 'p', id,
      'a', int(deliveries), 'e', 'its consumer died ' .. limit .. ' times while it had this message')
  end
  forgotten(id)
  return #entry
end

-- take makes a message the caller's, or answers nil where it is no more.
local function take(id, deliveries, crashes)
  local got = call('XCLAIM', STREAM, group, session, 0, id, 'RETRYCOUNT', int(deliveries))
  if not got[1] then
    forgotten(id)
    return
  end
  if crashes > 0 then
    call('HSET', CRASHED, id, crashes)
  end
  return {id, int(deliveries), crashes, got[1][2]}
end

-- after is the lowest position behind one.
local function after(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return ms .. '-' .. int(tonumber(seq) + 1)
end

local out, dead, from, left = {}, 0, '-', false
for _ = 1, 10 do
  local page = call('XPENDING', STREAM, group, from, '+', 100, gone)
  for i = 1, #page do
    local id, deliveries = page[i][1], page[i][4]
    local crashes = tonumber(call('HGET', CRASHED, id) or '0') + crash
    from = after(id)
    if crashes >= limit then
      dead = dead + give_up(id, deliveries)
    elseif #out >= most then
      left = true
      break
    elseif crashes >= limit - 1 and limit > 1 and suspects <= 0 then
      left = true
    else
      local message = take(id, deliveries + crash, crashes)
      if message then
        out[#out + 1] = message
        if crashes >= limit - 1 then
          suspects = suspects - 1
        end
      end
    end
  end
  if #page < 100 or #out >= most then break end
end
if left or #call('XPENDING', STREAM, group, '-', '+', 1, gone) > 0 then
  return answer('MORE', dead, out)
end
call('XGROUP', 'DELCONSUMER', STREAM, group, gone)
call('ZREM', MEMBERS, gone)
return answer('DONE', dead, out)
