-- fail: running -> scheduled (retry, snooze), dead, cancelled, expired, or ready again (release), for a batch.
-- A cancel mark that names the claim wins over every verdict.
-- KEYS: fixed, running, lanes
-- ARGV: session, lane, seq, then six for each job: id, token, verdict (retry, snooze, dead, cancelled, expired,
--       release), delay ms, state record ('' = leave as it is), length of the brief record for a full Redis
-- RETURNS: now_us, outcomes (a letter each: o done, c cancelled instead, x the claim was not ours any more)
-- ERRORS: LOST, STALE, WRONGKEY
local RUNNING, LANES = KEYS[24], KEYS[25]
local session, seq = ARGV[1], tonumber(ARGV[3])
-- A write that could grow, made first, is refused at maxmemory and so tells; after shrink() the rest may run.
local probe = pcall('HSET', META, 'probe', '1')
local full = type(probe) == 'table' and sub(probe.err, 1, 9) ~= 'WRONGTYPE'
local err = shrink()
if err then return err end
local sizes
sizes, err = measure('ZCARD', RUNNING, 'HLEN', LANES)
if err then return err end
err = dead_session(session, (#ARGV - 3) / 6)
if err then return err end
local now_us, now = clock()
local last, record = lane_record(LANES, ARGV[2])
if seq < last then return stale(last) end
if seq == last then return {int(now_us), record} end

local words, counts = {}, {}
local release = {ids = {}, envelopes = {}, records = {}}
local before = head_due()

local function count(name) counts[name] = (counts[name] or 0) + 1 end

-- merged is the worker's record with the fields that only Redis knows: generation and ghosts, and unless the job
-- returned by itself, crashes.
local function merged(old, new, brief, verdict)
  if new == '' then
    return old
  end
  if full then
    new = sub(new, 1, brief)
  end
  local r = sub(new, 1, 2) .. (old and sub(old, 3, 4) or '\0\0')
  if verdict == 'retry' or verdict == 'dead' then
    return without_flag(r .. '\0' .. sub(new, 6), SUSPECTED)
  end
  r = r .. (old and sub(old, 5, 5) or '\0') .. sub(new, 6)
  return has(old, SUSPECTED) and with_flag(r, SUSPECTED) or r
end

local function apply(id, token, verdict, delay, new, brief)
  local score = call('ZSCORE', RUNNING, id)
  if not score or tonumber(score) ~= tonumber(token) then
    count('refused')
    return 'x'
  end
  local mark = sizes[N_CANCELS] > 0 and call('HGET', CANCELS, id)
  local word = 'o'
  if mark and tonumber(mark) == tonumber(token) and verdict ~= 'cancelled' then
    verdict, word = 'cancelled', 'c'
  end
  local envelope, old = call('HGET', JOBS, id), call('HGET', STATE, id)
  local r = merged(old, new, brief, verdict)
  call('ZREM', RUNNING, id)
  if mark then
    call('HDEL', CANCELS, id)
  end
  if verdict == 'cancelled' or verdict == 'expired' then
    count(verdict)
    -- bury() reads the stored record for ghosts; retire() stores the new one where the job is kept.
    retire(id, envelope, r, verdict == 'cancelled' and CANCELLED or EXPIRED, sizes, now)
    return word
  end
  if r and r ~= old then
    call('HSET', STATE, id, r)
    sizes[N_STATE] = sizes[N_STATE] + 1
  end
  if verdict == 'retry' or verdict == 'snooze' then
    call('ZADD', SCHEDULED, int(after(now_us, tonumber(delay))), id)
    count(verdict == 'retry' and 'failed' or 'snoozed')
  elseif verdict == 'dead' then
    call('ZADD', DEAD, int(now), id)
    count('failed')
    count('died')
  else
    release.ids[#release.ids + 1] = id
    release.envelopes[#release.envelopes + 1] = envelope
    release.records[#release.records + 1] = r or false
    count('released')
  end
  return word
end

for i = 4, #ARGV, 6 do
  words[#words + 1] = apply(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], tonumber(ARGV[i + 5]))
end
front(release.ids, release.envelopes, release.records)
if #release.ids > 0 then
  wake(sizes, 1)
end
arm(before, sizes)
for name, n in pairs(counts) do
  tally(name, n)
end
local outcomes = table.concat(words)
call('HSET', LANES, ARGV[2], ARGV[3] .. ' ' .. outcomes)
return {int(now_us), outcomes}
