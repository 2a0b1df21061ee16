-- exchange: running -> gone / finished (acknowledge) and ready -> running (claim), in one call.
-- KEYS: fixed, running, lanes
-- ARGV: session, lane, seq, want, bytes, first, suspect (1 = may take one suspect), ids of plain acks (16 bytes
--       each), their tokens (16 digits each), then five for each ack that is kept: id, token, retention ms, record
--       ('' = as it is), result
-- RETURNS: now_us, word (OK, MORE = skipped ghosts, call again, PAUSED), left (1 = ready work remains), suspects left,
--          refused ('' = none; else the places, from 0, of acks whose claim was not ours any more: "3,17"), suspects
--          claimed (first in the batch), first token (tokens are consecutive), ids, envelopes, state records (none where
--          no job has one)
-- ERRORS: LOST, STALE, WRONGKEY
local RUNNING, LANES = KEYS[24], KEYS[25]
local DIGITS = '0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849' ..
  '5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899'
local session, seq, want, limit = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local err = shrink()
if err then return err end
local sizes
sizes, err = measure('ZCARD', RUNNING, 'HLEN', LANES)
if err then return err end
err = dead_session(session, #ARGV[8] / 16 + (#ARGV - 9) / 5)
if err then return err end
local now_us, now = clock()

-- filled has '' where a hash had nothing.
local function filled(values)
  for i = 1, #values do
    values[i] = values[i] or ''
  end
  return values
end

local last, record = lane_record(LANES, ARGV[2])
if seq < last then return stale(last) end
if seq == last then
  -- The answer was lost: give it again. The batch is the range of tokens that the call took, and still runs.
  local word, left, suspects, taken, lo, hi, refused = string.match(record, '^(%u+) (%d) (%d+) (%d) (%d+) (%d+) (.*)$')
  local out = {int(now_us), word, left, suspects, refused, taken, lo, '', {}, {}}
  if tonumber(hi) >= tonumber(lo) then
    local found = call('ZRANGEBYSCORE', RUNNING, lo, hi, 'WITHSCORES')
    local ids, at = {}, tonumber(lo)
    for i = 1, tonumber(hi) - at + 1 do
      ids[i] = NOBODY
    end
    for i = 1, #found, 2 do
      ids[tonumber(found[i + 1]) - at + 1] = found[i]
    end
    out[8], out[9], out[10] = table.concat(ids), filled(gather('HMGET', JOBS, ids)), filled(gather('HMGET', STATE, ids))
  end
  return out
end

-- Acknowledge. Every ack is held against the token of its claim: the session may hold a newer claim of the id. A long run
-- of tokens is checked by one range: it must hold just these ids.
local refused, place, done = {}, 0, 0
local loose, loose_tokens, loose_places = {}, {}, {}
for first, count in string.gmatch(ARGV[9], '(%d+):(%d+)') do
  local from, n = tonumber(first), tonumber(count)
  local ids, held = sub(ARGV[8], 16 * place + 1, 16 * (place + n)), nil
  if n >= 8 then
    held = call('ZRANGEBYSCORE', RUNNING, first, int(from + n - 1))
  end
  if held and #held == n and table.concat(held) == ids then
    call('ZREMRANGEBYSCORE', RUNNING, first, int(from + n - 1))
    bury(held, sizes)
    done = done + n
  else
    for i = 0, n - 1 do
      loose[#loose + 1] = sub(ids, 16 * i + 1, 16 * i + 16)
      loose_tokens[#loose] = from + i
      loose_places[#loose] = place + i
    end
  end
  place = place + n
end
if #loose > 0 then
  local scores, ours = gather('ZMSCORE', RUNNING, loose), {}
  for i = 1, #loose do
    if scores[i] and tonumber(scores[i]) == loose_tokens[i] then
      ours[#ours + 1] = loose[i]
    else
      refused[#refused + 1] = loose_places[i]
    end
  end
  if #ours > 0 then
    done = done + chunks('ZREM', RUNNING, ours) -- an id that is named twice is done once
    bury(ours, sizes)
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
    done = done + 1
  else
    refused[#refused + 1] = place
  end
  place = place + 1
end
if done > 0 then
  tally('succeeded', done)
end
if #refused > 0 then
  tally('refused', #refused)
end
local refusals = table.concat(refused, ',')

-- Claim.
local meta = call('HMGET', META, 'paused', 'token')
local word, taken, bytes, skipped = 'OK', 0, 0, 0
local out_ids, out_envelopes, out_records = {}, {}, {}
local total = 0
for p = 0, 9 do
  total = total + sizes[READY + p]
end
local suspects_left = sizes[N_SUSPECT]

-- take claims from the entries popped off a list; what does not fit goes back to its front.
local function take(entries, list)
  local ids = entries
  for i = 1, #entries do
    if #entries[i] ~= 16 then
      ids = {}
      break
    end
  end
  if ids ~= entries then
    for i = 1, #entries do
      ids[i] = sub(entries[i], 1, 16)
    end
  end
  local envelopes = gather('HMGET', JOBS, ids)
  local records = sizes[N_STATE] > 0 and gather('HMGET', STATE, ids)
  for i = 1, #ids do
    local envelope, record = envelopes[i], records and records[i]
    if not envelope or #envelope == 2 and byte(envelope) == 0 or (record and byte(record, 3) or 0) ~= (byte(entries[i], 17) or 0) then
      drop_ghost(entries[i], list)
      skipped = skipped + 1
    else
      local n = #out_ids + 1
      if n > 1 and bytes + #envelope > limit then
        for j = #entries, i, -1 do
          call('LPUSH', list, entries[j])
        end
        return i - 1, true
      end
      bytes = bytes + #envelope
      out_ids[n], out_envelopes[n] = ids[i], envelope
      if records then
        out_records[n] = record or ''
      end
    end
  end
  return #ids, false
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
  if skipped > 1000 and suspects_left > 0 then
    word = 'MORE'
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
  -- The tokens as text: all but the last two digits seldom change, and formatting each would cost the most here.
  local members, hundreds, text = {}, -1, nil
  for i = 1, n do
    local token = lo + i - 1
    local high = floor(token / 100)
    if high ~= hundreds then
      hundreds, text = high, int(high)
    end
    local low = 2 * (token - 100 * high)
    members[2 * i - 1] = text .. sub(DIGITS, low + 1, low + 2)
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
call('HSET', LANES, ARGV[2], table.concat({ARGV[3], word, left, suspects_left, taken, int(lo), int(hi), refusals}, ' '))
return {int(now_us), word, left, suspects_left, refusals, taken, int(lo), table.concat(out_ids), out_envelopes, out_records}
