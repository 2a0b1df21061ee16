-- Shared by every script: names for the keys, typed reads, and the moves that more than one transition makes.
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

-- shrink is a write that cannot grow: made first, it lets the rest of the script run at maxmemory.
local function shrink()
  local r = pcall('HDEL', META, '')
  if type(r) == 'table' then
    return wrong(META, r.err)
  end
end

-- dead_session answers why a session may not write, or nil.
local function dead_session(session)
  local expiry = call('ZSCORE', SESSIONS, session)
  if not expiry or tonumber(expiry) < 0 then
    return redis.error_reply('LOST session')
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

local function be64(s, at)
  local n = 0
  for i = at, at + 7 do
    n = n * 256 + (byte(s, i) or 0)
  end
  return n
end

-- retention reads from the envelope's head how long to keep the finished job (ms).
local function retention(envelope)
  local flags = byte(envelope, 2) or 0
  if floor(flags / 2) % 2 == 0 then
    return 0
  end
  return be64(envelope, flags % 2 == 1 and 14 or 6)
end

-- A state record's head: version, flags, generation, ghosts, crashes, attempts (2 bytes); then a body for Go.
local NEW = char(1, 0, 0, 0, 0, 0, 0)

local function has(record, flag)
  return record and floor(byte(record, 2) / flag) % 2 == 1
end

local function with_flag(record, flag)
  if has(record, flag) then
    return record
  end
  return sub(record, 1, 1) .. char(byte(record, 2) + flag) .. sub(record, 3)
end

local function without_flag(record, flag)
  if not has(record, flag) then
    return record
  end
  return sub(record, 1, 1) .. char(byte(record, 2) - flag) .. sub(record, 3)
end

-- entry is what stands in a list for a job: the id, with its generation behind it once it moved.
local function entry(id, record)
  local generation = record and byte(record, 3) or 0
  return generation == 0 and id or id .. char(generation)
end

-- bury forgets jobs. Where stale list entries of a job remain, a tombstone keeps its id from being used again.
local function bury(ids, sizes)
  if #ids == 0 then
    return
  end
  local gone = ids
  if sizes[N_STATE] > 0 then
    local records = gather('HMGET', STATE, ids)
    gone = {}
    for i = 1, #ids do
      local ghosts = records[i] and byte(records[i], 4) or 0
      if ghosts > 0 then
        call('HSET', JOBS, ids[i], char(0, ghosts))
      else
        gone[#gone + 1] = ids[i]
      end
    end
    chunks('HDEL', STATE, ids)
  end
  if #gone > 0 then
    chunks('HDEL', JOBS, gone)
  end
  if sizes[N_RESULTS] > 0 then
    chunks('HDEL', RESULTS, ids)
  end
  if sizes[N_CANCELS] > 0 then
    chunks('HDEL', CANCELS, ids)
  end
end

-- retire ends a job in a state other than success: kept as finished where its retention asks for it, else gone.
local function retire(id, envelope, record, flag, sizes, now)
  local keep = envelope and retention(envelope) or 0
  if keep > 0 then
    call('HSET', STATE, id, with_flag(without_flag(record or NEW, SUSPECTED), flag))
    call('ZADD', FINISHED, int(now + keep), id)
    call('HDEL', CANCELS, id)
  else
    bury({id}, sizes)
  end
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

-- front puts jobs back at the head of their lists, the first one foremost.
local function front(ids, envelopes, records)
  for i = #ids, 1, -1 do
    local record = records[i]
    if has(record, SUSPECTED) then
      call('LPUSH', SUSPECT, entry(ids[i], record))
    else
      call('LPUSH', ready(priority(envelopes[i])), entry(ids[i], record))
    end
  end
end

-- same_sessions tells whether the sessions that the caller read (ARGV from first on) are still all there are: only
-- then do KEYS hold every place where a job can run.
local function same_sessions(first)
  local named = {}
  for i = first, #ARGV do
    named[ARGV[i]] = true
  end
  local now = call('ZRANGE', SESSIONS, 0, -1)
  for i = 1, #now do
    if not named[now[i]] then
      return false
    end
  end
  return true
end

-- locate_running finds the session that runs a job: nil where the caller knows too few sessions, else a table that is
-- empty when the job is not running.
local function locate_running(id, first)
  if not same_sessions(first) then
    return nil
  end
  for i = first, #ARGV do
    local key = KEYS[offset + 24 + i - first]
    local score = pcall('ZSCORE', key, id)
    if type(score) == 'table' and score.err then
      return nil, wrong(key, score.err)
    end
    if score then
      return {session = ARGV[i], token = int(tonumber(score))}
    end
  end
  return {}
end

-- MOVES is how many stale entries a job may have. One byte counts them, and no two entries may share a generation.
local MOVES = 255

-- leave_ghost takes a ready job off its list without searching it: the entry there becomes stale. It answers the
-- job's new record.
local function leave_ghost(id, record, sizes)
  local r = record or NEW
  r = sub(r, 1, 2) .. char((byte(r, 3) + 1) % 256, byte(r, 4) + 1) .. sub(r, 5)
  call('HSET', STATE, id, r)
  call('HINCRBY', META, 'ghosts', 1)
  if has(r, SUSPECTED) then
    call('HINCRBY', META, 'suspect_ghosts', 1)
  end
  sizes[N_STATE] = sizes[N_STATE] + 1
  return r
end

local function ghost_gone(list)
  call('HINCRBY', META, 'ghosts', -1)
  if list == SUSPECT then
    call('HINCRBY', META, 'suspect_ghosts', -1)
  end
end

-- drop_ghost tells whether an entry popped off a list is stale (its job was cancelled or moved away), and takes it off
-- the books.
local function drop_ghost(popped, list)
  local id, generation = sub(popped, 1, 16), byte(popped, 17) or 0
  local envelope = call('HGET', JOBS, id)
  if not envelope then
    return true
  end
  if tombstone(envelope) then
    local rest = byte(envelope, 2) - 1
    if rest > 0 then
      call('HSET', JOBS, id, char(0, rest))
    else
      call('HDEL', JOBS, id)
    end
    ghost_gone(list)
    return true
  end
  local record = call('HGET', STATE, id)
  if (record and byte(record, 3) or 0) == generation then
    return false
  end
  if record and byte(record, 4) > 0 then
    call('HSET', STATE, id, sub(record, 1, 3) .. char(byte(record, 4) - 1) .. sub(record, 5))
    ghost_gone(list)
  end
  return true
end
