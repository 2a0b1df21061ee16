-- exchange: running -> gone / finished (acknowledge) and ready -> running (claim), in one call.
-- KEYS: fixed, running, lanes
-- ARGV: session, lane, seq, want, bytes, first, suspect (1 = may take one suspect), widen (from so many claimed on, running is
--       to be stored as a set of many; 0 = as it is), ids of plain acks (16 bytes each), their tokens (runs: "first:count,..."),
--       then five for each ack that is kept: id, token, retention ms, record ('' = as it is), result
-- RETURNS: now_us, word (OK, MORE = skipped ghosts, call again, PAUSED), left (1 = ready work remains), suspects left,
--          refused ('' = none; else the places, from 0, of acks whose claim was not ours any more: "3,17"), suspects
--          claimed (first in the batch), first token (tokens are consecutive), ids, envelopes, state records (none where
--          no job has one)
-- ERRORS: LOST, STALE, WRONGKEY
local call, pcall = redis.call, redis.pcall
local byte, sub, format, min, max = string.byte, string.sub, string.format, math.min, math.max
local JOBS, STATE, SUSPECT, _, SESSIONS, _, _, FINISHED, RESULTS, CANCELS, WAKE, _, META, FIRST = unpack(KEYS, 1, 14)
local RUNNING, LANES = KEYS[24], KEYS[25]
local N_STATE, N_SUSPECT, N_FINISHED, N_RESULTS, N_CANCELS, READY = 2, 3, 8, 9, 10, 14 -- places in sizes, as measure() has them
local STEP = 1000 -- values in one unpack
local WIDEN, IDS, TOKENS = 8, 9, 10 -- places in ARGV
local session, seq, want, limit, step = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), max(tonumber(ARGV[6]), 1)
local lib -- what library() answered, where it was needed

-- Typed reads of all that is written below, as measure() makes them, but fewer: they are most of what a small batch costs.
-- What few queues have is looked for by one question, whether any of these keys is there. Where none is, the claim's own
-- reads serve; elsewhere an acknowledgement may change what they tell. (Arguments stay text where they can: making text of a
-- number costs as much as a small read.)
local sizes, top, suspects = false, 0, 0
local seldom = call('EXISTS', STATE, SUSPECT, FINISHED, RESULTS, CANCELS, unpack(KEYS, READY + 1, READY + 9))
if seldom > 0 then
  sizes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  local others = call('EXISTS', unpack(KEYS, READY + 1, READY + 9))
  if others > 0 then
    top = 9
    for i = READY + 1, READY + 9 do
      sizes[i] = pcall('LLEN', KEYS[i])
    end
  end
  if others < seldom then
    sizes[N_STATE], sizes[N_SUSPECT] = pcall('HLEN', STATE), pcall('LLEN', SUSPECT)
    sizes[N_FINISHED], sizes[N_RESULTS], sizes[N_CANCELS] = pcall('ZCARD', FINISHED), pcall('HLEN', RESULTS), pcall('HLEN', CANCELS)
    suspects = sizes[N_SUSPECT]
  end
  for i = N_STATE, READY + 9 do
    if type(sizes[i]) == 'table' then return library().wrong(KEYS[i], sizes[i].err) end
  end
  if suspects > 0 then top = 10 end
end
local meta, record = pcall('HMGET', META, 'paused', 'token', 'succeeded'), pcall('HGET', LANES, ARGV[2])
local expiry, tokens = pcall('ZSCORE', SESSIONS, session), pcall('LLEN', WAKE)
local paused = meta[1] == '1'
local ahead = (sizes or paused or want < 1) and 0 or min(want, step, STEP)
local head, jobs = pcall('LRANGE', FIRST, '0', ahead == want and ARGV[4] or ahead), nil -- one more: will any be left?
local have = #head
if have > ahead then head[have] = nil end
if sizes then sizes[READY] = have end
if head[1] then
  jobs = pcall('HMGET', JOBS, unpack(head))
else
  jobs = pcall('HLEN', JOBS)
end
local running = ARGV[TOKENS] == '' and pcall('ZCARD', RUNNING)
if meta.err or record and record.err or expiry and expiry.err or type(tokens) == 'table' or head.err
  or type(jobs) == 'table' and jobs.err or type(running) == 'table' then
  return library().faulty(META, meta, LANES, record, SESSIONS, expiry, WAKE, tokens, FIRST, head, JOBS, jobs, RUNNING, running)
end

local time = call('TIME')
local now_text = time[1] .. sub('000000', #time[2] + 1) .. time[2]
local now_us = tonumber(now_text)
local last = record and tonumber(string.match(record, '^%d+')) or 0
if seq <= last or not expiry or tonumber(expiry) < 0 then
  lib = library()
  local err = lib.shrink() or lib.dead_session(session, #ARGV[IDS] / 16 + (#ARGV - TOKENS) / 5)
  if err then return err end
  if seq < last then return lib.stale(last) end
  return lib.resent(record, RUNNING, now_text)
end

-- Acknowledge. Every ack is held against the token of its claim: the session may hold a newer claim of the id. A long run
-- of tokens is checked by one range: it must hold just these ids. The first write is one that cannot grow: a full Redis lets
-- the rest run then.
local refused, place, done = {}, 0, 0
if ARGV[TOKENS] ~= '' then
  local gone, loose, loose_tokens, loose_places
  for first, count in string.gmatch(ARGV[TOKENS], '(%d+):(%d+)') do
    local n, held = tonumber(count), nil
    if n >= 8 or 16 * n == #ARGV[IDS] then
      local through = n == 1 and first or format('%.0f', tonumber(first) + n - 1)
      held = pcall('ZRANGEBYSCORE', RUNNING, first, through)
      if held.err then return library().wrong(RUNNING, held.err) end
      local named = 16 * n == #ARGV[IDS] and ARGV[IDS] or sub(ARGV[IDS], 16 * place + 1, 16 * (place + n))
      if #held == n and table.concat(held) == named then
        done = done + call('ZREMRANGEBYSCORE', RUNNING, first, through)
      else
        held = nil
      end
    end
    if not held then
      loose, loose_tokens, loose_places = loose or {}, loose_tokens or {}, loose_places or {}
      for i = 0, n - 1 do
        local at, id = #loose + 1, 16 * (place + i)
        loose[at], loose_tokens[at], loose_places[at] = sub(ARGV[IDS], id + 1, id + 16), tonumber(first) + i, place + i
      end
    elseif not gone then
      gone = held
    else
      for i = 1, n do
        gone[#gone + 1] = held[i]
      end
    end
    place = place + n
  end
  if loose then
    local scores, ours = pcall('ZMSCORE', RUNNING, unpack(loose)), {}
    if scores.err then return library().wrong(RUNNING, scores.err) end
    gone = gone or {}
    for i = 1, #loose do
      if scores[i] and tonumber(scores[i]) == loose_tokens[i] then
        ours[#ours + 1], gone[#gone + 1] = loose[i], loose[i]
      else
        refused[#refused + 1] = loose_places[i]
      end
    end
    if ours[1] then
      done = done + call('ZREM', RUNNING, unpack(ours)) -- an id that is named twice is done once
    end
  end
  local bare = not sizes or sizes[N_RESULTS] + sizes[N_CANCELS] == 0 -- nothing but the envelopes is to be forgotten
  if bare and sizes and sizes[N_STATE] > 0 and gone[1] then
    local states = call('HMGET', STATE, unpack(gone))
    for i = 1, #gone do
      bare = bare and not states[i]
    end
  end
  if gone[1] and bare then
    call('HDEL', JOBS, unpack(gone))
  elseif gone[1] then
    lib = library()
    lib.bury(gone, sizes)
  end
end
for i = TOKENS + 1, #ARGV, 5 do
  lib = lib or library()
  if lib.keep(i, RUNNING, now_us) then
    done = done + 1
  else
    refused[#refused + 1] = place
  end
  place = place + 1
end
local refusals = table.concat(refused, ',')

-- Claim: look at the first entries of a list, suspects first, and take off those that fit.
local word, taken, bytes, skipped, full, wrote = 'OK', 0, 0, 0, false, done > 0
local n, ids, envelopes, records = 0, {}, {}, {}
if want <= 0 then
  top = -1
elseif paused then
  word, top = 'PAUSED', -1
end
for p = top, 0, -1 do
  local list, room = KEYS[READY + p], want
  if p == 10 then
    list, room, have = SUSPECT, 1, ARGV[7] == '1' and suspects or 0
  elseif sizes then
    have = sizes[READY + p]
  end
  while have > 0 and n < room and not full do
    if skipped > 1000 then
      word, full = 'MORE', true
      break
    end
    local entries, names, found, moved = head, head, jobs, false
    if ahead == 0 then
      local most = min(room - n, step, STEP)
      entries = call('LRANGE', list, 0, most)
      have = #entries
      if have > most then entries[have] = nil end
      names = entries
      if sizes then
        names = {}
        for i = 1, #entries do
          names[i] = sub(entries[i], 1, 16) -- a generation stands behind the id of one that moved
          moved = moved or #entries[i] > 16
        end
      end
      found = call('HMGET', JOBS, unpack(names))
    end
    ahead = 0
    local states = sizes and sizes[N_STATE] > 0 and call('HMGET', STATE, unpack(names))
    local used, all = #entries, (states or moved) and limit + 1 or 0
    for i = 1, n == 0 and used or 0 do
      local envelope = found[i]
      all = all + (envelope and #envelope > 2 and #envelope or limit + 1)
    end
    if n == 0 and all <= limit then
      n, bytes, ids, envelopes = used, all, entries, found -- mostly there is nothing to look at one by one
    else
      if not wrote then call('HDEL', META, '') end
      for i = 1, #entries do
        local envelope, state = found[i], states and states[i]
        if not envelope or #envelope == 2 and byte(envelope) == 0
          or (state and byte(state, 3) or 0) ~= (byte(entries[i], 17) or 0) then
          lib = lib or library()
          lib.drop_ghost(entries[i], list)
          skipped = skipped + 1
        elseif n > 0 and bytes + #envelope > limit then
          used, full = i - 1, true
          break
        else
          n = n + 1
          bytes = bytes + #envelope
          ids[n], envelopes[n] = names[i], envelope
          if states then
            records[n] = state or ''
          end
        end
      end
    end
    if used > 0 then
      call('LTRIM', list, used, -1)
    end
    wrote, have = true, have - used
    if p == 10 then
      taken, suspects = n, suspects - used
    end
    if n > 0 then
      step = max(1, math.floor((limit - bytes) / (bytes / n)))
    end
  end
  if sizes and p < 10 then
    sizes[READY + p] = have
  end
end
local left = not sizes and have or 0
for i = READY, sizes and READY + 9 or 0 do
  left = left + sizes[i]
end
left = left > 0 and 1 or 0

if not wrote then call('HDEL', META, '') end
local lo = max(tonumber(meta[2] or 0) + 1, now_us)
local lo_text = lo == now_us and now_text or format('%.0f', lo)
local hi_text = lo_text
-- A sorted set begins as a list, which a few do better with, and more the worse, up to 128. A long member makes it one of many.
local widen = tonumber(ARGV[WIDEN])
local long = widen > 0 and n >= widen and string.rep('\0', 65) -- no id
if n == 0 then
  hi_text = format('%.0f', lo - 1)
elseif n == 1 and not long then
  call('ZADD', RUNNING, lo_text, ids[1])
else
  -- The tokens as text: all but the last two digits seldom change, and formatting each would cost the most here.
  local all, digits = '0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849'
    .. '5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899', nil
  if n >= 24 then -- else it takes longer to make than it saves
    digits = {[0] = '00', '01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12', '13', '14', '15', '16',
      '17', '18', '19', '20', '21', '22', '23', '24', '25', '26', '27', '28', '29', '30', '31', '32', '33',
      '34', '35', '36', '37', '38', '39', '40', '41', '42', '43', '44', '45', '46', '47', '48', '49', '50',
      '51', '52', '53', '54', '55', '56', '57', '58', '59', '60', '61', '62', '63', '64', '65', '66', '67',
      '68', '69', '70', '71', '72', '73', '74', '75', '76', '77', '78', '79', '80', '81', '82', '83', '84',
      '85', '86', '87', '88', '89', '90', '91', '92', '93', '94', '95', '96', '97', '98', '99'}
  end
  local members, at, last_two, text = {}, 0, tonumber(sub(lo_text, -2)), sub(lo_text, 1, -3)
  if long then
    members[1], members[2], at = '0', long, 2
  end
  for i = 1, n do
    if last_two == 100 then
      last_two, text = 0, format('%.0f', (lo + i - 1) / 100)
    end
    hi_text = text .. (digits and digits[last_two] or sub(all, 2 * last_two + 1, 2 * last_two + 2))
    members[at + 1], members[at + 2] = hi_text, ids[i]
    last_two, at = last_two + 1, at + 2
  end
  for i = 1, at, STEP do
    call('ZADD', RUNNING, unpack(members, i, min(i + STEP - 1, at)))
  end
  if long then
    call('ZREM', RUNNING, long)
  end
end

local succeeded
if done > 0 then
  succeeded = tonumber(meta[3] or 0) or 0 -- one that is no number begins anew, as in tally()
  succeeded = format('%.0f', (succeeded >= 0 and succeeded < 2 ^ 53 and succeeded or 0) + done)
end
if done > 0 and n > 0 then
  call('HSET', META, 'token', hi_text, 'succeeded', succeeded)
elseif done > 0 then
  call('HSET', META, 'succeeded', succeeded)
elseif n > 0 then
  call('HSET', META, 'token', hi_text)
end
if refused[1] then
  lib = lib or library()
  lib.tally('refused', #refused)
end
if want > 0 and not paused then
  local wanted = (left == 1 and n > 0 or word == 'MORE') and 2
    or suspects > 0 and taken > 0 and 1 -- the others are for other processes
    or 0
  for _ = tokens + 1, wanted do
    call('RPUSH', WAKE, '1')
  end
  if tokens > 0 and wanted == 0 and left == 0 and suspects == 0 then
    call('DEL', WAKE)
  end
end
call('HSET', LANES, ARGV[2], ARGV[3] .. ' ' .. word .. (left == 1 and ' 1 ' or ' 0 ') .. (suspects == 0 and '0' or suspects)
  .. (taken == 0 and ' 0 ' or ' 1 ') .. lo_text .. ' ' .. hi_text .. ' ' .. refusals)
return {now_text, word, left, suspects, refusals, taken, lo_text, table.concat(ids), envelopes, records}
