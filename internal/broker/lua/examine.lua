-- examine: a page of one structure, with all that is known of each id on it at that moment. Reads only.
-- KEYS: fixed, then running of every session
-- ARGV: key, what it is (hash, set = a sorted one, list, ids = none: they are given), how many, where to go on (the
--       cursor; in a list, which is read from its end, how far from the end the last entry was; '0' = start), that entry or
--       the ids (16 bytes each), then every session, in the order of KEYS
-- RETURNS: now_us, word (OK, SEEK = nothing yet, ask again from here, CHANGED = other sessions, read them again), where to
--          go on ('0' = that was all), the last entry, bytes of values read, ghosts and suspect ghosts on the books,
--          facts (27 bytes for each id: see Fact), members that are no ids
-- ERRORS: WRONGKEY
local sizes, err = measure()
if err then return err end
local now_us = clock()
local key, what, count, at, mark = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local ids, generations, odd, bytes = {}, {}, {}, 0

local function answer(word, next_, facts)
  local books = call('HMGET', META, 'ghosts', 'suspect_ghosts')
  return {int(now_us), word, next_, mark, bytes, books[1] or '', books[2] or '', facts or '', odd}
end

if not same_sessions(6) then return answer('CHANGED', at) end

-- seek answers how far from its end the marked entry of a list is; nil where it is not found yet. One that is gone left
-- at the head, and all that stood before it had left already.
local function seek(length)
  local from = tonumber(at)
  for _ = 1, 10 do
    if from > length then return length end
    local far = min(from + STEP - 1, length)
    local part = call('LRANGE', key, -far, -from)
    for i = #part, 1, -1 do
      if part[i] == mark then return from + #part - i end
    end
    from = far + 1
  end
  at = int(from)
end

local function of_list()
  local length, from = call('LLEN', key), 0
  if at ~= '0' then
    from = seek(length)
    if not from then return end
  end
  local far = min(from + count, length)
  local entries = far > from and call('LRANGE', key, -far, -(from + 1)) or {}
  for i = #entries, 1, -1 do
    local e = entries[i]
    if #e == 16 or #e == 17 then
      ids[#ids + 1], generations[#ids + 1] = sub(e, 1, 16), byte(e, 17) or 0
    else
      odd[#odd + 1] = e
    end
    mark = e
  end
  at = far < length and int(far) or '0'
  return true
end

local function of_scan()
  local declared = false
  for i = 1, #KEYS do
    declared = declared or KEYS[i] == key
  end
  if not declared then -- the session has ended
    at = '0'
    return
  end
  local page
  if what == 'hash' then
    page = pcall('HSCAN', key, at, 'COUNT', count)
  else
    page = pcall('ZSCAN', key, at, 'COUNT', count)
  end
  if page.err then return wrong(key, page.err) end
  at = page[1]
  for i = 1, #page[2], 2 do
    local id = page[2][i]
    if #id == 16 then
      ids[#ids + 1] = id
    else
      odd[#odd + 1] = id
    end
    bytes = bytes + #page[2][i + 1]
  end
end

if what == 'list' then
  if not of_list() then return answer('SEEK', at) end
elseif what == 'ids' then
  ids, at = split16(mark), '0'
else
  err = of_scan()
  if err then return err end
end

local places, claims, tokens = {}, {}, {}
for i = 1, #ids do
  places[i], claims[i], tokens[i] = 0, 0, {}
end

-- look notes which of the ids a sorted set holds.
local function look(set, size, bit)
  for from = 1, size > 0 and #ids or 0, STEP do
    local scores = pcall('ZMSCORE', set, unpack(ids, from, min(from + STEP - 1, #ids)))
    if scores.err then return wrong(set, scores.err) end
    for i = 1, #scores do
      local j = from + i - 1
      if scores[i] and bit > 0 then
        places[j] = places[j] + bit
      elseif scores[i] then
        claims[j] = claims[j] + 1
        tokens[j][tonumber(scores[i])] = true
      end
    end
  end
end

look(SCHEDULED, sizes[N_SCHEDULED], 1)
look(DEAD, sizes[N_DEAD], 2)
look(FINISHED, sizes[N_FINISHED], 4)
for i = 24, #KEYS do
  err = look(KEYS[i], 1, 0)
  if err then return err end
end
local records = sizes[N_STATE] > 0 and gather('HMGET', STATE, ids) or {}
local marks = sizes[N_CANCELS] > 0 and gather('HMGET', CANCELS, ids) or {}
local results = sizes[N_RESULTS] > 0
local facts = {}
for i = 1, #ids do
  local id, record, kind, number = ids[i], records[i], 0, 0
  local size = call('HSTRLEN', JOBS, id)
  if size > 0 then
    kind = 2
    local stone = size == 2 and call('HGET', JOBS, id)
    if stone and tombstone(stone) then
      kind, number = 1, byte(stone, 2)
    end
  end
  local known = record and (#record >= 7 and byte(record, 1) > 0 and 1 or 2) or 0
  if record then
    bytes = bytes + #record
  end
  local cancel = marks[i] and (tokens[i][tonumber(marks[i]) or 0] and 1 or 2) or 0
  local kept = results and call('HEXISTS', RESULTS, id) or 0
  facts[i] = id .. char(generations[i] or 0, kind, number, places[i], min(claims[i], 255), known,
    record and byte(record, 2) or 0, record and byte(record, 3) or 0, record and byte(record, 4) or 0, cancel, kept)
end
return answer('OK', at, table.concat(facts))
