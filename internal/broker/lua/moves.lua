-- Shared by the scripts of workers and operators: state records, stale list entries, and the moves that more than one
-- transition makes. It stands behind prelude.lua.

-- shrink is a write that cannot grow: made first, it lets the rest of the script run at maxmemory.
local function shrink()
  local r = pcall('HDEL', META, '')
  if type(r) == 'table' then
    return wrong(META, r.err)
  end
end

-- dead_session answers why a session may not write, or nil. The late writes that are refused with it are counted.
local function dead_session(session, late)
  local expiry = pcall('ZSCORE', SESSIONS, session)
  if type(expiry) == 'table' then
    return wrong(SESSIONS, expiry.err)
  end
  if not expiry or tonumber(expiry) < 0 then
    if late > 0 then
      tally('refused', late)
    end
    return redis.error_reply('LOST session')
  end
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

-- locate_running finds the sessions that run jobs: nil where the caller knows too few sessions, else the running ones
-- of the ids, each with its session and claim token.
local function locate_running(ids, first)
  if not same_sessions(first) then
    return nil
  end
  local at = {}
  for i = first, #ARGV do
    local key = KEYS[offset + 24 + i - first]
    for from = 1, #ids, STEP do
      local scores = pcall('ZMSCORE', key, unpack(ids, from, min(from + STEP - 1, #ids)))
      if scores.err then
        return nil, wrong(key, scores.err)
      end
      for j = 1, #scores do
        if scores[j] then
          at[ids[from + j - 1]] = {session = ARGV[i], token = int(tonumber(scores[j]))}
        end
      end
    end
  end
  return at
end

-- MOVES is how many stale entries a job may have. One byte counts them, and no two entries may share a generation.
local MOVES = 255

-- leave_ghost takes a ready job off its list without searching it: the entry there becomes stale. It answers the
-- job's new record.
local function leave_ghost(id, record, sizes)
  local r = record or NEW
  r = sub(r, 1, 2) .. char((byte(r, 3) + 1) % 256, byte(r, 4) + 1) .. sub(r, 5)
  call('HSET', STATE, id, r)
  tally('ghosts', 1)
  if has(r, SUSPECTED) then
    tally('suspect_ghosts', 1)
  end
  sizes[N_STATE] = sizes[N_STATE] + 1
  return r
end

local function ghost_gone(list)
  tally('ghosts', -1)
  if list == SUSPECT then
    tally('suspect_ghosts', -1)
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
