-- enqueue: jobs -> ready or scheduled. Dedupes by id; a resend of the lane's last call is answered from its record.
-- It takes 1000 jobs at most.
-- KEYS: jobs, producers, wake, meta, scheduled, due, then ready of each priority among the envelopes, in any order
-- ARGV: producer, lane, seq, ids (16 bytes each), dues ('' = all now; else comma separated: 0 = now, +ms = from now,
--       ms = Unix time), envelope...
-- RETURNS: now_us, outcomes ('' = all created; else a letter each: c created, d duplicate, x duplicate of a cancelled
--          job whose list entry is still there, e not an envelope, or the nil id)
-- ERRORS: STALE, WRONGKEY, OOM, READONLY, BADCALL
if #KEYS < 6 or #KEYS > 16 then -- of another version, whose keys stand elsewhere
  return redis.error_reply('BADCALL ' .. #KEYS .. ' keys')
end
local JOBS, WAKE, SCHEDULED, DUE
JOBS, PRODUCERS, WAKE, META, SCHEDULED, DUE = unpack(KEYS, 1, 6)
local time = call('TIME')
local now_us = time[1] .. sub('000000', #time[2] + 1) .. time[2]
local ms = sub(now_us, 1, -4)
local now -- ms, where it is needed
local field, seq, recorded = ARGV[1] .. ARGV[2], ARGV[3], nil
if ARGV[1] ~= '' then
  if not string.find(seq, '^%d+$') then
    return redis.error_reply('BADCALL seq ' .. sub(seq, 1, 40))
  end
  recorded = pcall('HGET', PRODUCERS, field)
  if recorded then
    if recorded.err then return basics().wrong(PRODUCERS, recorded.err) end
    local last, this = tonumber(string.match(recorded, '^%d+')), tonumber(seq)
    if this == last then
      return {now_us, string.match(recorded, '^%d+ %d+ (.*)$')}
    elseif this < last then
      return basics().stale(last)
    end
  end
end

local packed, n = ARGV[4], #ARGV - 5
if n < 1 or n > STEP or #packed ~= 16 * n then
  return redis.error_reply('BADCALL ' .. #packed / 16 .. ' ids and ' .. n .. ' envelopes')
end
local dues
if ARGV[5] ~= '' then
  dues, now = {}, tonumber(ms)
  local from = sub(now_us, -3) == '000' and now or now + 1 -- nothing that was put off starts before its time
  for due in string.gmatch(ARGV[5], '[^,]+') do
    local at = tonumber(due)
    if not at or at < 0 then
      return redis.error_reply('BADCALL due ' .. sub(due, 1, 40))
    end
    dues[#dues + 1] = sub(due, 1, 1) == '+' and from + at or at
  end
  if #dues ~= n then
    return redis.error_reply('BADCALL ' .. n .. ' ids and ' .. #dues .. ' due times')
  end
end

-- Typed reads of the keys that are written below, before the first write. Two are found out by writing, which costs less: meta,
-- by the first write of all, and the ready list where all go to the same one: then what was written is taken back.
local ids = {}
for i = 1, n do
  ids[i] = sub(packed, 16 * i - 15, 16 * i)
end
local known = pcall('HMGET', JOBS, unpack(ids))
if known.err then return basics().wrong(JOBS, known.err) end
local tokens = pcall('LLEN', WAKE)
if type(tokens) == 'table' then return basics().wrong(WAKE, tokens.err) end
local paused = (tokens < 1 or not recorded) and pcall('HGET', META, 'paused') -- else nobody is to be woken, and no lane to admit
if type(paused) == 'table' then return basics().wrong(META, paused.err) end
local ready = {}
for i = 7, #KEYS do
  ready[byte(KEYS[i], -1) - 48] = KEYS[i]
end
local before, armed
if dues then
  before = pcall('ZRANGE', SCHEDULED, 0, 0, 'WITHSCORES')
  if before.err then return basics().wrong(SCHEDULED, before.err) end
  armed = pcall('LLEN', DUE)
  if type(armed) == 'table' then return basics().wrong(DUE, armed.err) end
end

-- The new jobs, the last one first: of an id that comes twice the first envelope is written last, and stays.
local jobs, m, words, urgency, mixed = {}, 0, nil, nil, dues ~= nil
for i = n, 1, -1 do
  local id, envelope, old = ids[i], ARGV[i + 5], known[i]
  local version, _, p, _, body = byte(envelope, 1, 5)
  if old or not body or version == 0 or p > 9 or id == NOBODY then
    words = words or {}
    words[i] = not old and 'e' or #old == 2 and byte(old, 1) == 0 and 'x' or 'd'
  else
    jobs[m + 1], jobs[m + 2] = id, envelope
    m = m + 2
    if p ~= urgency then
      if not ready[p] then
        return redis.error_reply('BADCALL no key for priority ' .. p)
      end
      mixed = mixed or urgency ~= nil
      urgency = p
    end
  end
end

if mixed then
  for i = 7, #KEYS do
    local length = pcall('LLEN', KEYS[i])
    if type(length) == 'table' then return basics().wrong(KEYS[i], length.err) end
  end
end

-- The first write. It could grow: a full Redis refuses it, with nothing moved, and lets the rest run behind it.
local created = m / 2
local text = created < 10 and sub('123456789', created, created) or created -- making text of a number is dear
local counted = m > 0 and pcall('HINCRBY', META, 'enqueued', text)
if type(counted) == 'table' then -- one that is no number (a foreign hand) begins anew; what else it was stops this too
  counted = pcall('HSET', META, 'enqueued', created)
  if type(counted) == 'table' then return basics().wrong(META, counted.err) end
end
if m > STEP then
  created = call('HSET', JOBS, unpack(jobs, 1, STEP)) + call('HSET', JOBS, unpack(jobs, STEP + 1, m))
elseif m > 0 then
  created = call('HSET', JOBS, unpack(jobs))
end
if created < m / 2 then -- some came twice
  pcall('HINCRBY', META, 'enqueued', created - m / 2)
end
if created > 0 then
  local now_ready, pushed = created, nil
  if created == n and not mixed then
    pushed = pcall('RPUSH', ready[urgency], unpack(ids))
  else
    local lists, scheduled, seen = {}, {}, {}
    words = (words or 2 * created < m) and (words or {})
    for i = 1, n do
      local id = ids[i]
      if words and words[i] then -- not created, and known to be so
      elseif seen[id] then
        words[i] = 'd'
      else
        seen[id] = true
        if dues and dues[i] > now then
          scheduled[#scheduled + 1] = format('%.0f', dues[i])
          scheduled[#scheduled + 1] = id
        else
          local p = byte(ARGV[i + 5], 3)
          local list = lists[p]
          if not list then
            list = {}
            lists[p] = list
          end
          list[#list + 1] = id
        end
      end
    end
    now_ready = created - #scheduled / 2
    for p, list in pairs(lists) do
      pushed = pcall('RPUSH', ready[p], unpack(list))
    end
    for i = 1, #scheduled, STEP do
      call('ZADD', SCHEDULED, unpack(scheduled, i, min(i + STEP - 1, #scheduled)))
    end
    if #scheduled > 0 and armed < 2 then
      local after = call('ZRANGE', SCHEDULED, 0, 0, 'WITHSCORES')
      if after[2] ~= before[2] then -- a new head: whoever holds the timer must look
        call('RPUSH', DUE, '1')
      end
    end
  end
  if type(pushed) == 'table' then -- a key of another type, where all are of one priority: elsewhere it was found before
    for i = 1, m, 2 do
      call('HDEL', JOBS, jobs[i])
    end
    if call('HINCRBY', META, 'enqueued', -created) == 0 then call('HDEL', META, 'enqueued') end
    return basics().wrong(ready[urgency], pushed.err)
  end
  if now_ready > 0 and tokens < 1 and paused ~= '1' then
    call('RPUSH', WAKE, '1')
  end
end

local outcomes = ''
if words then
  for i = 1, n do
    words[i] = words[i] or 'c'
  end
  outcomes = table.concat(words)
end
if ARGV[1] ~= '' then
  if not recorded then basics().admit(tonumber(ms)) end
  local r = pcall('HSET', PRODUCERS, field, seq .. ' ' .. ms .. ' ' .. outcomes)
  -- Where nothing was created a full Redis is no reason to fail; one that became a replica may not know what it has.
  if type(r) == 'table' and (created > 0 or string.find(r.err, 'READONLY', 1, true)) then
    return redis.error_reply(r.err)
  end
end
return {now_us, outcomes}
