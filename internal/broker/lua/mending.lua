-- Shared by the scripts of the doctor, behind prelude.lua and moves.lua. Each looks for itself whether the defect that it
-- is told of is there, at one moment, and mends it only then; without a deadline it only looks.

-- expired tells whether a call that is to mend came too late.
local function expired(deadline, now) return deadline ~= '' and now > tonumber(deadline) end

-- holds answers the sorted sets that hold an id, the one that it is to stay in first: what runs it, by the newest claim
-- (its worker or its recovery ends it, and what a claim that is taken away writes is refused); finished (its end was
-- acknowledged); scheduled (never early, and it comes to run); dead.
local function holds(id, first)
  local found = {}
  for i = first, #ARGV do
    local key = KEYS[24 + i - first]
    local score = pcall('ZSCORE', key, id)
    if type(score) == 'table' and score.err then
      return nil, wrong(key, score.err)
    elseif score then
      found[#found + 1] = {key = key, token = tonumber(score)}
    end
  end
  table.sort(found, function(a, b) return a.token > b.token end)
  for _, key in ipairs({FINISHED, SCHEDULED, DEAD}) do
    if call('ZSCORE', key, id) then
      found[#found + 1] = {key = key}
    end
  end
  return found
end

-- whole makes a state record of one that is cut off, and answers whether it was.
local function whole(record)
  if not record or #record >= 7 and byte(record, 1) > 0 then
    return record, false
  end
  return char(1) .. sub(sub(record, 2, 7) .. string.rep('\0', 6), 1, 6) .. sub(record, 8), true
end

-- bump gives a job the next generation: every list entry that it has is stale then, and so many of them are put on the
-- books. It answers the new record, or nil where there were too many already.
local function bump(id, entries, of_suspects, sizes)
  local r = whole(call('HGET', STATE, id) or NEW)
  if byte(r, 4) + entries >= MOVES then
    return nil
  end
  r = sub(r, 1, 2) .. char((byte(r, 3) + 1) % 256, byte(r, 4) + entries) .. sub(r, 5)
  call('HSET', STATE, id, r)
  sizes[N_STATE] = sizes[N_STATE] + 1
  if entries > 0 then
    tally('ghosts', entries)
  end
  if of_suspects > 0 then
    tally('suspect_ghosts', of_suspects)
  end
  return r
end

-- standing tells whether an entry stands in lists at each of several places: "13:120,13:7" is a place in the fixed keys
-- (from 0), and how far from the list's end it was seen. Entries come to the end, so it is there or farther; how far is
-- bounded. It answers how many, and how many of them among the suspects; nil where one is not there any more.
local function standing(places, entry)
  local n, suspects, taken = 0, 0, {}
  for place, at in string.gmatch(places, '(%d+):(%d+)') do
    local list, from, found = KEYS[offset + tonumber(place) + 1], tonumber(at), nil
    local length = call('LLEN', list)
    for _ = 1, 20 do
      if found or from > length then break end
      local far = min(from + STEP - 1, length)
      local part = call('LRANGE', list, -far, -from)
      for i = #part, 1, -1 do
        local distance = from + #part - i
        if part[i] == entry and not taken[place .. ':' .. distance] then
          found = distance
          break
        end
      end
      from = far + 1
    end
    if not found then
      return nil
    end
    taken[place .. ':' .. found] = true
    n = n + 1
    if list == SUSPECT then
      suspects = suspects + 1
    end
  end
  return n, suspects
end
