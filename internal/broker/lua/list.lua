-- list: a page of the jobs of one state, in the order in which they are claimed, due, started, dead or forgotten. Reads
-- only, at a cost that does not depend on how many there are.
-- KEYS: fixed, then running of every session
-- ARGV: state (READY, SUSPECT, SCHEDULED, RUNNING, DEAD, FINISHED), jobs at most, bytes of them at most (one always
--       fits), priority (of READY, 9 at first), at, mark, last, then every session, in the order of KEYS
-- RETURNS: now_us, word (OK, DONE = these were the last, SEEK = nothing yet, ask again from here, CHANGED = other
--          sessions, read them again), then where to go on: priority, at, mark, last; then seven for each job: its own
--          at, mark and last, to go on behind it, session and cancel mark of a running one, envelope, state record
-- ERRORS: WRONGKEY
--
-- A place in a list of entries is: at, how far the entry is from the list's end (1 = it is the last); mark, the entry;
-- last, how many entries behind it are to be listed. Entries leave a list at its head only and come to its end, or back
-- to its head: so the entry is found at that distance or farther, and once it is gone, all that is there stood behind it
-- or came back.
-- A place in a sorted set is: at, a score; mark, an id; last, the highest score to list. In both, mark '' is the start:
-- from score at on ('' = all), up to last ('' = what is there now).
local sizes, err = measure()
if err then return err end
local now_us = clock()
local state, count, limit, p = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local at, mark, last = ARGV[5], ARGV[6], ARGV[7]
local LOOK = 500 -- entries looked at in one go
local out, rows, bytes = {}, 0, 0

-- add takes a job onto the page: false where there is no room for it, nil where there is no such job (any more).
local function add(id, generation, session)
  local size = call('HSTRLEN', JOBS, id)
  if size == 0 then return nil end
  local record = sizes[N_STATE] > 0 and call('HGET', STATE, id) or ''
  if generation and (byte(record, 3) or 0) ~= generation then return nil end
  if rows == count or rows > 0 and bytes + size + #record > limit then return false end
  local envelope = call('HGET', JOBS, id)
  if tombstone(envelope) then return nil end
  rows, bytes = rows + 1, bytes + size + #record
  return {session or '', session and call('HGET', CANCELS, id) or '', envelope, record}
end

-- place is where the page stands now, behind job; it is what to go on from.
local function place(job, at_, mark_, last_)
  at, mark, last = at_, mark_, last_
  if job then
    out[#out + 1], out[#out + 2], out[#out + 3] = int(at), mark, int(last)
    for i = 1, 4 do
      out[#out + 1] = job[i]
    end
  end
end

local function answer(word)
  local head = {int(now_us), word, p, at ~= '' and int(at) or '', mark, last ~= '' and int(last) or ''}
  for i = 1, #out do
    head[6 + i] = out[i]
  end
  return head
end

-- seek answers how far from its end the marked entry of a list is, or nil where it is not found yet.
local function seek(list, length)
  if call('LINDEX', list, -at) == mark then return at end
  for _ = 1, 10 do
    if at > length then return length + 1 end
    local far = min(at + LOOK - 1, length)
    local part = call('LRANGE', list, -far, -at)
    for i = #part, 1, -1 do
      if part[i] == mark then return at + #part - i end
    end
    at = far + 1
  end
end

-- of_list lists entries: nil where the page is not full and the list at its end.
local function of_list(list)
  local length, looked = call('LLEN', list), 0
  if mark == '' then
    at, last = length + 1, length
  else
    local found = seek(list, length)
    if not found then return 'SEEK' end
    at, last = found, min(last, length)
  end
  while last > 0 and at > 1 do
    if looked >= LOOK then return 'OK' end
    local n = min(count, last, at - 1)
    local entries = call('LRANGE', list, -(at - 1), -(at - n))
    for i = 1, #entries do
      local job = add(sub(entries[i], 1, 16), byte(entries[i], 17) or 0)
      if job == false then return 'OK' end
      place(job, at - 1, entries[i], last - 1)
    end
    looked = looked + n
  end
end

-- less compares as sorted sets do; Lua's own comparison goes by the locale.
local function less(a, b)
  for i = 1, min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- rank answers how many stand before the place or at it, whether its job is still there or not.
local function rank(key)
  if at == '' then return 0 end
  local low = call('ZCOUNT', key, '-inf', '(' .. int(at))
  if mark == '' then return low end
  local score = call('ZSCORE', key, mark)
  if score and tonumber(score) == at then return call('ZRANK', key, mark) + 1 end
  local high = low + call('ZCOUNT', key, int(at), int(at))
  while low < high do
    local middle = floor((low + high) / 2)
    if less(mark, call('ZRANGE', key, middle, middle)[1]) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local function of_set(key)
  local top = call('ZRANGE', key, -1, -1, 'WITHSCORES')
  if not top[2] then return 'DONE' end
  if mark == '' then
    last = min(last ~= '' and last or tonumber(top[2]), tonumber(top[2]))
  end
  local from = rank(key)
  local found = call('ZRANGE', key, from, from + count - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local score = tonumber(found[i + 1])
    if score > last then return 'DONE' end
    local job = add(found[i])
    if job == false then return 'OK' end
    place(job, score, found[i], last)
  end
  return #found < 2 * count and 'DONE' or 'OK'
end

-- of_running merges what the sessions run, by claim token.
local function of_running()
  if not same_sessions(8) then return 'CHANGED' end
  if mark == '' then
    local newest = tonumber(call('HGET', META, 'token') or '0')
    last = min(last ~= '' and last or newest, newest)
  end
  local sessions = #ARGV - 7
  local from = at == '' and '-inf' or (mark ~= '' and '(' or '') .. int(at)
  local each, upto, more, claims = max(4, floor(4 * count / max(1, sessions))), last, false, {}
  for i = 8, #ARGV do
    local key = KEYS[24 + i - 8]
    local found = pcall('ZRANGEBYSCORE', key, from, int(last), 'WITHSCORES', 'LIMIT', 0, each)
    if found.err then return nil, wrong(key, found.err) end
    for j = 1, #found, 2 do
      claims[#claims + 1] = {token = tonumber(found[j + 1]), id = found[j], session = ARGV[i]}
    end
    if #found == 2 * each then
      more, upto = true, min(upto, tonumber(found[#found]))
    end
  end
  table.sort(claims, function(a, b) return a.token < b.token end)
  for i = 1, #claims do
    local c = claims[i]
    if c.token > upto then break end
    local job = add(c.id, nil, c.session)
    if job == false then return 'OK' end
    place(job, c.token, c.id, last)
  end
  return more and 'OK' or 'DONE'
end

at, last = tonumber(at) or '', tonumber(last) or ''
if state == 'READY' then
  local word
  repeat
    word = of_list(ready(p))
    if not word and rows == 0 then
      p, at, mark, last = p - 1, '', '', ''
    end
  until word or rows > 0 or p < 0
  return answer(word or p <= 0 and 'DONE' or 'OK')
elseif state == 'SUSPECT' then
  return answer(of_list(SUSPECT) or 'DONE')
elseif state == 'RUNNING' then
  local word
  word, err = of_running()
  if err then return err end
  return answer(word)
end
return answer(of_set(({SCHEDULED = SCHEDULED, DEAD = DEAD, FINISHED = FINISHED})[state]))
