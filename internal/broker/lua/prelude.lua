-- Shared by the scripts of workers and operators, behind basics.lua: names for the keys, typed reads, wake-ups.
-- The fixed keys stand first in KEYS, in the order of internal/keys. Values are read positionally from there.
local shared = basics()
local int, clock, wrong, tally = shared.int, shared.clock, shared.wrong, shared.tally
local lane_record, stale = shared.lane_record, shared.stale
local JOBS, STATE, SUSPECT, SCHEDULED, SESSIONS, DEAD, FINISHED, RESULTS, CANCELS, WAKE, DUE
local offset = 0
-- Places in what measure() returns; READY + p is ready:<p>.
local N_STATE, N_SUSPECT, N_SCHEDULED, N_SESSIONS, N_PRODUCERS, N_DEAD = 2, 3, 4, 5, 6, 7
local N_FINISHED, N_RESULTS, N_CANCELS, N_WAKE, N_DUE, READY = 8, 9, 10, 11, 12, 14
local READS = {'HLEN', 'HLEN', 'LLEN', 'ZCARD', 'ZCARD', 'HLEN', 'ZCARD', 'ZCARD', 'HLEN', 'HLEN', 'LLEN', 'LLEN', 'HLEN'}
local SUSPECTED, CANCELLED, CRASHED, EXPIRED = 1, 2, 4, 8

-- bind points the names at one queue's keys, for scripts that serve several.
local function bind(at)
  offset = at
  JOBS, STATE, SUSPECT, SCHEDULED, SESSIONS, PRODUCERS, DEAD, FINISHED, RESULTS, CANCELS, WAKE, DUE, META =
    unpack(KEYS, at + 1, at + 13)
end
bind(0)

local function ready(p) return KEYS[offset + READY + p] end

-- after is the time (ms) that lies so many ms after now_us, rounded up: nothing that was put off starts before its time.
local function after(now_us, ms) return floor((now_us + 999) / 1000) + ms end

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

-- faulty answers the error of the first typed read that failed, of key, value, key, value.
local function faulty(...)
  local reads = {...}
  for i = 1, #reads, 2 do
    local value = reads[i + 1]
    if type(value) == 'table' and value.err then
      return wrong(reads[i], value.err)
    end
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
