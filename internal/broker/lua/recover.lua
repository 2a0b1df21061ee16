-- recover: what a lost session was running -> the front of ready, one crash more and no attempt used; at most 250 jobs
-- a call. A job one crash short of the limit goes to suspect, to its end: those are tried one at a time, and none is to
-- wait for all that come after it. One at the limit goes to dead, a cancelled one ends.
-- KEYS: fixed, running, lanes (of the lost session)
-- ARGV: session, ttl ms, crash limit, tell (1 = name the jobs that end)
-- RETURNS: now_us, word (DONE, MORE = call again, WAIT = not now, ALIVE, GONE), moved, suspects, dead, then of the jobs that
--          ended, where asked: a letter each (c cancelled, d dead), ids, envelopes ('' beyond 1 MiB of them)
-- ERRORS: WRONGKEY
local RUNNING, LANES = KEYS[24], KEYS[25]
local session, ttl, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local err = shrink()
if err then return err end
local sizes
sizes, err = measure('ZCARD', RUNNING, 'HLEN', LANES)
if err then return err end
local now_us, now = clock()
local meta = call('HMGET', META, 'beat', 'no_recover_until')
-- Judged here and not by the caller: the call may have waited in the socket of a server that was frozen.
if now - tonumber(meta[1] or '0') > ttl / 2 or now < tonumber(meta[2] or '0') then
  return {int(now_us), 'WAIT', 0, 0, 0, '', '', {}}
end
local expiry = call('ZSCORE', SESSIONS, session)
if not expiry then return {int(now_us), 'GONE', 0, 0, 0, '', '', {}} end
if tonumber(expiry) > now then return {int(now_us), 'ALIVE', 0, 0, 0, '', '', {}} end

-- Lost first: from here on the session's own calls are refused, also between two bites.
call('ZADD', SESSIONS, '-1', session)
local ids = call('ZREVRANGE', RUNNING, 0, 249)
local suspects, dead = 0, 0
local letters, ended, told, bytes = {}, {}, {}, 0

local function tell(letter, id, envelope)
  if ARGV[4] ~= '1' then return end
  local n = #ended + 1
  bytes = bytes + #envelope
  letters[n], ended[n], told[n] = letter, id, bytes <= 1048576 and envelope or ''
end

if #ids > 0 then
  local envelopes, records = gather('HMGET', JOBS, ids), gather('HMGET', STATE, ids)
  local back = {ids = {}, envelopes = {}, records = {}}
  chunks('ZREM', RUNNING, ids)
  for i = #ids, 1, -1 do
    local id, envelope, old = ids[i], envelopes[i], records[i] or NEW
    if call('HEXISTS', CANCELS, id) == 1 then
      tally('cancelled', 1)
      tell('c', id, envelope)
      retire(id, envelope, old, CANCELLED, sizes, now)
    else
      local crashes = min(byte(old, 5) + 1, 255)
      local record = sub(old, 1, 4) .. char(crashes) .. sub(old, 6)
      if crashes >= limit then
        record = with_flag(without_flag(record, SUSPECTED), CRASHED)
        call('ZADD', DEAD, int(now), id)
        dead = dead + 1
        tell('d', id, envelope)
      else
        if crashes >= limit - 1 and limit > 1 then
          record = with_flag(record, SUSPECTED)
          suspects = suspects + 1
        end
        if has(record, SUSPECTED) then
          call('RPUSH', SUSPECT, entry(id, record)) -- behind the others: they are tried one at a time
        else
          back.ids[#back.ids + 1] = id
          back.envelopes[#back.envelopes + 1] = envelope
          back.records[#back.records + 1] = record
        end
      end
      call('HSET', STATE, id, record)
      sizes[N_STATE] = sizes[N_STATE] + 1
    end
  end
  front(back.ids, back.envelopes, back.records)
  tally('recovered', #ids)
  if dead > 0 then
    tally('died', dead)
  end
  wake(sizes, 1)
end
local word = 'MORE'
if call('ZCARD', RUNNING) == 0 then
  call('ZREM', SESSIONS, session)
  call('DEL', LANES)
  word = 'DONE'
end
return {int(now_us), word, #ids, suspects, dead, table.concat(letters), table.concat(ended), told}
