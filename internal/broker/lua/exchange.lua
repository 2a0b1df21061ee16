-- exchange: running -> gone / finished (acknowledge) and ready -> running (claim), in one call.
-- KEYS: fixed, running, lanes
-- ARGV: session, lane, seq, want, bytes, first, suspect (1 = may take one suspect), ids of plain acks (16 bytes
--       each), their tokens (16 digits each), then five for each ack that is kept: id, token, retention ms, record
--       ('' = as it is), result
-- RETURNS: now_us, word (OK, MORE = skipped ghosts, call again, PAUSED), left (1 = ready work remains), suspects left,
--          outcomes ('' = all done; else a letter each: o done, x the claim was not ours any more), suspects claimed
--          (first in the batch), first token (tokens are consecutive), ids, then envelope and state record of each job
-- ERRORS: LOST, STALE, WRONGKEY
local RUNNING, LANES = KEYS[24], KEYS[25]
local session, seq, want, limit = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local err = shrink()
if err then return err end
local sizes
sizes, err = measure('ZCARD', RUNNING, 'HLEN', LANES)
if err then return err end
err = dead_session(session)
if err then return err end
local now_us, now = clock()

local last, record = lane_record(LANES, ARGV[2])
if seq < last then return stale(last) end
if seq == last then
  -- The answer was lost: give it again. The batch is the range of tokens that the call took, and still runs.
  local word, left, suspects, taken, lo, hi, outcomes = string.match(record, '^(%u+) (%d) (%d+) (%d) (%d+) (%d+) (.*)$')
  local out = {int(now_us), word, left, suspects, outcomes, taken, lo, ''}
  if tonumber(hi) >= tonumber(lo) then
    local pairs_ = call('ZRANGEBYSCORE', RUNNING, lo, hi, 'WITHSCORES')
    local ids, at = {}, tonumber(lo)
    for i = 1, tonumber(hi) - at + 1 do
      ids[i] = NOBODY
    end
    for i = 1, #pairs_, 2 do
      ids[tonumber(pairs_[i + 1]) - at + 1] = pairs_[i]
    end
    local envelopes, records = gather('HMGET', JOBS, ids), gather('HMGET', STATE, ids)
    for i = 1, #ids do
      out[#out + 1] = envelopes[i] or ''
      out[#out + 1] = records[i] or ''
    end
    out[8] = table.concat(ids)
  end
  return out
end

-- Acknowledge. Every ack is held against the token of its claim: the session may hold a newer claim of the id.
local ids, tokens = split16(ARGV[8]), ARGV[9]
local words, refused = {}, 0
if #ids > 0 then
  local scores, done = gather('ZMSCORE', RUNNING, ids), {}
  for i = 1, #ids do
    local token = sub(tokens, i * 16 - 15, i * 16)
    if scores[i] and (scores[i] == token or tonumber(scores[i]) == tonumber(token)) then
      done[#done + 1] = ids[i]
      words[i] = 'o'
    else
      words[i] = 'x'
      refused = refused + 1
    end
  end
  if #done > 0 then
    local n = chunks('ZREM', RUNNING, done)
    bury(done, sizes)
    call('HINCRBY', META, 'succeeded', n)
  end
end
for i = 10, #ARGV, 5 do
  local id, score = ARGV[i], call('ZSCORE', RUNNING, ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then
    local old = call('HGET', STATE, id)
    local new = ARGV[i + 3] ~= '' and ARGV[i + 3] or old or NEW
    call('ZREM', RUNNING, id)
    call('HSET', STATE, id, sub(new, 1, 2) .. (old and sub(old, 3, 4) or '\0\0') .. sub(new, 5))
    call('ZADD', FINISHED, int(now + tonumber(ARGV[i + 2])), id)
    if ARGV[i + 4] ~= '' then
      call('HSET', RESULTS, id, ARGV[i + 4])
    end
    call('HDEL', CANCELS, id)
    call('HINCRBY', META, 'succeeded', 1)
    words[#words + 1] = 'o'
  else
    words[#words + 1] = 'x'
    refused = refused + 1
  end
end
if refused > 0 then
  call('HINCRBY', META, 'refused', refused)
end
local outcomes = refused == 0 and '' or table.concat(words)

-- Claim.
local meta = call('HMGET', META, 'paused', 'token')
local word, taken, bytes, skipped = 'OK', 0, 0, 0
local out_ids, out = {}, {}
local total = 0
for p = 0, 9 do
  total = total + sizes[READY + p]
end
local suspects_left = sizes[N_SUSPECT]

-- take claims from the entries popped off a list; what does not fit goes back to its front.
local function take(entries, list)
  local popped = entries
  local plain = true
  for i = 1, #entries do
    if #entries[i] ~= 16 then
      plain = false
    end
  end
  if not plain then
    popped = {}
    for i = 1, #entries do
      popped[i] = sub(entries[i], 1, 16)
    end
  end
  local envelopes = gather('HMGET', JOBS, popped)
  local records = sizes[N_STATE] > 0 and gather('HMGET', STATE, popped) or {}
  for i = 1, #popped do
    local envelope, r = envelopes[i], records[i]
    if not envelope or tombstone(envelope) or (r and byte(r, 3) or 0) ~= (byte(entries[i], 17) or 0) then
      drop_ghost(entries[i], list)
      skipped = skipped + 1
    else
      if #out_ids > 0 and bytes + #envelope > limit then
        for j = #entries, i, -1 do
          call('LPUSH', list, entries[j])
        end
        return i - 1, true
      end
      bytes = bytes + #envelope
      out_ids[#out_ids + 1] = popped[i]
      out[#out + 1] = envelope
      out[#out + 1] = r or ''
    end
  end
  return #popped, false
end

if want > 0 and meta[1] == '1' then
  word = 'PAUSED'
elseif want > 0 then
  while ARGV[7] == '1' and suspects_left > 0 and taken == 0 and skipped <= 1000 do
    local one = call('LPOP', SUSPECT)
    if not one then break end
    suspects_left = suspects_left - 1
    take({one}, SUSPECT)
    taken = #out_ids
  end
  local step, full = max(tonumber(ARGV[6]), 1), false
  for p = 9, 0, -1 do
    local have, list = sizes[READY + p], ready(p)
    while have > 0 and #out_ids < want and not full do
      if skipped > 1000 then
        word, full = 'MORE', true
        break
      end
      local entries = call('LPOP', list, min(want - #out_ids, have, step, STEP))
      if not entries then break end
      local used
      used, full = take(entries, list)
      have, total = have - used, total - used
      if #out_ids > 0 then
        step = max(1, floor((limit - bytes) / (bytes / #out_ids)))
      end
    end
    if full or #out_ids >= want then break end
  end
end
local n = #out_ids
local lo = max(tonumber(meta[2] or '0') + 1, now_us)
local hi = lo + n - 1
if n > 0 then
  local members = {}
  for i = 1, n do
    members[2 * i - 1] = int(lo + i - 1)
    members[2 * i] = out_ids[i]
  end
  chunks('ZADD', RUNNING, members)
  call('HSET', META, 'token', int(hi))
end
local left = total > 0 and 1 or 0
if want > 0 and word ~= 'PAUSED' then
  if left == 1 and n > 0 or word == 'MORE' then
    wake(sizes, 2)
  elseif suspects_left > 0 and taken > 0 then
    wake(sizes, 1) -- the others are for other processes
  elseif left == 0 and suspects_left == 0 and sizes[N_WAKE] > 0 then
    call('DEL', WAKE)
  end
end
call('HSET', LANES, ARGV[2], table.concat({ARGV[3], word, left, suspects_left, taken, int(lo), int(hi), outcomes}, ' '))
return {int(now_us), word, left, suspects_left, outcomes, taken, int(lo), table.concat(out_ids), unpack(out)}
