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
local LONG = string.rep('\0', 65) -- no id
local session, seq, want, limit = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local err = shrink()
if err then return err end

-- Typed reads of all that is written below, as measure() makes them, but fewer: they are most of what a small batch costs.
-- What few queues have is looked for by two questions, whether any of these keys is there.
local sizes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
local function typed(command, key, ...)
  local value = pcall(command, key, ...)
  if type(value) == 'table' and value.err then
    err = err or wrong(key, value.err)
  end
  return value
end
local function sized(first, last)
  for i = first, last do
    sizes[i] = typed(READS[i] or 'LLEN', KEYS[i])
  end
end
sized(1, 1)
sized(N_WAKE, N_WAKE)
sized(READY, READY)
if call('EXISTS', unpack(KEYS, READY + 1, READY + 9)) > 0 then
  sized(READY + 1, READY + 9)
end
if call('EXISTS', STATE, SUSPECT, FINISHED, RESULTS, CANCELS) > 0 then
  sized(N_STATE, N_SUSPECT)
  sized(N_FINISHED, N_CANCELS)
end
local running, record = typed('ZCARD', RUNNING), typed('HGET', LANES, ARGV[2])
local meta = typed('HMGET', META, 'paused', 'token')
if err then return err end
err = dead_session(session, #ARGV[8] / 16 + (#ARGV - 9) / 5)
if err then return err end
local time = call('TIME')
local now_text = time[1] .. sub('000000', #time[2] + 1) .. time[2]
local now_us = tonumber(now_text)
local now = floor(now_us / 1000)

-- digits answers two digits for each number below 100, the first for 0.
local function digits()
  return {'00', '01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12', '13', '14', '15', '16',
    '17', '18', '19', '20', '21', '22', '23', '24', '25', '26', '27', '28', '29', '30', '31', '32', '33',
    '34', '35', '36', '37', '38', '39', '40', '41', '42', '43', '44', '45', '46', '47', '48', '49', '50',
    '51', '52', '53', '54', '55', '56', '57', '58', '59', '60', '61', '62', '63', '64', '65', '66', '67',
    '68', '69', '70', '71', '72', '73', '74', '75', '76', '77', '78', '79', '80', '81', '82', '83', '84',
    '85', '86', '87', '88', '89', '90', '91', '92', '93', '94', '95', '96', '97', '98', '99'}
end

-- filled has '' where a hash had nothing.
local function filled(values)
  for i = 1, #values do
    values[i] = values[i] or ''
  end
  return values
end

local last = 0
if record then
  last, record = string.match(record, '^(%d+) (.*)$')
  last = tonumber(last)
end
if seq < last then return stale(last) end
if seq == last then
  -- The answer was lost: give it again. The batch is the range of tokens that the call took, and still runs.
  local word, left, suspects, taken, lo, hi, refused = string.match(record, '^(%u+) (%d) (%d+) (%d) (%d+) (%d+) (.*)$')
  local out = {now_text, word, left, suspects, refused, taken, lo, '', {}, {}}
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
  local envelopes = call('HMGET', JOBS, unpack(ids))
  local records = sizes[N_STATE] > 0 and call('HMGET', STATE, unpack(ids))
  if ids == entries and not records and #out_ids == 0 then
    local all = 0 -- mostly there is nothing to look at one by one
    for i = 1, #ids do
      local envelope = envelopes[i]
      all = all + (envelope and #envelope > 2 and #envelope or limit + 1)
    end
    if all <= limit then
      bytes, out_ids, out_envelopes = all, ids, envelopes
      return #ids, false
    end
  end
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
local lo_text = lo == now_us and now_text or int(lo)
local hi_text = n == 1 and lo_text or int(hi)
if n > 0 then
  -- The tokens as text: all but the last two digits seldom change, and formatting each would cost the most here.
  local members, digit, hundreds, text, at = {}, digits(), -1, nil, 0
  -- A sorted set begins as a list, which slows each of its first 128 members down, unless the first one is long.
  local long = n >= 8 and running == done and LONG
  if long then
    members[1], members[2], at = '0', long, 2
  end
  for i = 1, n do
    local token = lo + i - 1
    local high = floor(token / 100)
    if high ~= hundreds then
      hundreds, text = high, int(high)
    end
    members[at + 1], members[at + 2] = text .. digit[token - 100 * high + 1], out_ids[i]
    at = at + 2
  end
  chunks('ZADD', RUNNING, members)
  if long then
    call('ZREM', RUNNING, long)
  end
  call('HSET', META, 'token', hi_text)
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
call('HSET', LANES, ARGV[2], table.concat({ARGV[3], word, left, suspects_left, taken, lo_text, hi_text, refusals}, ' '))
return {now_text, word, left, suspects_left, refusals, taken, lo_text, table.concat(out_ids), out_envelopes, out_records}
