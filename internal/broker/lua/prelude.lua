-- Shared by every script: names for the keys, typed reads, wake-ups. What only workers' and operators' scripts need
-- beside it is in moves.lua.
-- The fixed keys stand first in KEYS, in the order of internal/keys. Values are read positionally from there.
local JOBS, STATE, SUSPECT, SCHEDULED, SESSIONS, PRODUCERS, DEAD, FINISHED, RESULTS, CANCELS, WAKE, DUE, META
local offset = 0
local call, pcall = redis.call, redis.pcall
local byte, char, sub, format, min, max, floor = string.byte, string.char, string.sub, string.format, math.min, math.max, math.floor
-- Places in what measure() returns; READY + p is ready:<p>.
local N_STATE, N_SUSPECT, N_SCHEDULED, N_SESSIONS, N_PRODUCERS, N_DEAD = 2, 3, 4, 5, 6, 7
local N_FINISHED, N_RESULTS, N_CANCELS, N_WAKE, N_DUE, READY = 8, 9, 10, 11, 12, 14
local READS = {'HLEN', 'HLEN', 'LLEN', 'ZCARD', 'ZCARD', 'HLEN', 'ZCARD', 'ZCARD', 'HLEN', 'HLEN', 'LLEN', 'LLEN', 'HLEN'}
local SUSPECTED, CANCELLED, CRASHED, EXPIRED = 1, 2, 4, 8
local NOBODY = string.rep('\0', 16) -- the id of no job
local STEP = 1000 -- values in one unpack: some servers fail at a few thousand

-- bind points the names at one queue's keys, for scripts that serve several.
local function bind(at)
  offset = at
  JOBS, STATE, SUSPECT, SCHEDULED, SESSIONS, PRODUCERS, DEAD, FINISHED, RESULTS, CANCELS, WAKE, DUE, META =
    unpack(KEYS, at + 1, at + 13)
end
bind(0)

local function ready(p) return KEYS[offset + READY + p] end

-- int writes a number that may be beyond 2^31 as plain digits: servers differ in how Lua numbers become text.
local function int(n) return format('%.0f', n) end

local function clock()
  local t = call('TIME')
  local us = tonumber(t[1]) * 1000000 + tonumber(t[2])
  return us, floor(us / 1000)
end

-- after is the time (ms) that lies so many ms after now_us, rounded up: nothing that was put off starts before its time.
local function after(now_us, ms) return floor((now_us + 999) / 1000) + ms end

local function wrong(key, err)
  if sub(err, 1, 9) == 'WRONGTYPE' then
    return redis.error_reply('WRONGKEY ' .. key)
  end
  return redis.error_reply(err)
end

-- measure reads the size of every key that a script may write, before its first write: Lua does not roll back, so a
-- key of the wrong type must stop it while nothing has moved. Extra keys come as command, key, command, key.
local function measure(...)
  local sizes = {}
  for i = 1, 23 do
    local n = pcall(READS[i] or 'LLEN', KEYS[offset + i])
    if type(n) == 'table' then
      return nil, wrong(KEYS[offset + i], n.err)
    end
    sizes[i] = n
  end
  local extra = {...}
  for i = 1, #extra, 2 do
    local n = pcall(extra[i], extra[i + 1])
    if type(n) == 'table' then
      return nil, wrong(extra[i + 1], n.err)
    end
  end
  return sizes
end

-- tally adds to a counter. It stands behind writes that nothing rolls back, so one that is no number (a foreign hand)
-- begins anew and stops nothing.
local function tally(name, n)
  if type(pcall('HINCRBY', META, name, n)) == 'table' then
    call('HSET', META, name, n)
  end
end

-- lane reads the record of a lane's last call: its number and what it answered.
local function lane_record(key, field)
  local record = call('HGET', key, field)
  if not record then
    return 0, ''
  end
  local at = string.find(record, ' ', 1, true)
  return tonumber(sub(record, 1, at - 1)), sub(record, at + 1)
end

local function stale(last)
  return redis.error_reply('STALE lane is at ' .. int(last))
end

-- kept is for how long (ms) the record of a producer's lane is kept: 10 minutes, an input's (numbers from 2^40 on, see
-- fence) 7 days.
local function kept(number) return number < 2 ^ 40 and 600000 or 604800000 end

-- admit makes a new lane pay for the upkeep of the records: it looks at a few others and drops the old ones, and where
-- there are too many one that is not, an input's last.
local function admit(field, sizes, now)
  if sizes[N_PRODUCERS] < 1000 or call('HEXISTS', PRODUCERS, field) == 1 then
    return
  end
  local some, dropped, victim, least = call('HRANDFIELD', PRODUCERS, 8, 'WITHVALUES'), 0, nil, nil
  for i = 1, #some, 2 do
    local number, at = string.match(some[i + 1], '^(%d+) (%d+)')
    number, at = tonumber(number or '0'), tonumber(at or '0')
    local left = at + kept(number) - now
    if left < 0 then
      dropped = dropped + call('HDEL', PRODUCERS, some[i])
    elseif not least or left < least then
      victim, least = some[i], left
    end
  end
  if dropped == 0 and sizes[N_PRODUCERS] >= 20000 and victim then
    call('HDEL', PRODUCERS, victim)
    tally('producers_evicted', 1)
  end
end

-- chunks runs a variadic command over a list in bites.
local function chunks(command, key, list)
  local n = 0
  for i = 1, #list, STEP do
    n = n + call(command, key, unpack(list, i, min(i + STEP - 1, #list)))
  end
  return n
end

-- gather reads many fields of a hash, or nothing but false where the hash is empty.
local function gather(command, key, list)
  local out = {}
  for i = 1, #list, STEP do
    local part = call(command, key, unpack(list, i, min(i + STEP - 1, #list)))
    for j = 1, #part do
      out[i + j - 1] = part[j]
    end
  end
  return out
end

local function split16(packed)
  local out = {}
  for i = 1, #packed, 16 do
    out[#out + 1] = sub(packed, i, i + 15)
  end
  return out
end

local function tombstone(envelope) return #envelope == 2 and byte(envelope, 1) == 0 end

local function priority(envelope)
  local p = envelope and byte(envelope, 3) or 0
  return (p and p <= 9) and p or 0
end

local function wake(sizes, want)
  if sizes[N_WAKE] < want and call('HGET', META, 'paused') ~= '1' then
    for _ = sizes[N_WAKE] + 1, want do
      call('RPUSH', WAKE, '1')
    end
    sizes[N_WAKE] = want
  end
end

-- head_due is the time of the first scheduled job, or nil.
local function head_due()
  local head = call('ZRANGE', SCHEDULED, 0, 0, 'WITHSCORES')
  return head[2] and tonumber(head[2])
end

-- arm pushes a due token when the scheduled set has a new head: an earlier one, or the next one after its head was
-- taken away, which to the timer's holder looks as if another had promoted it.
local function arm(before, sizes)
  local after = head_due()
  if after and after ~= before and sizes[N_DUE] < 2 then
    call('RPUSH', DUE, '1')
  end
end
