-- enqueue: jobs -> ready or scheduled. Dedupes by id; a resend of the lane's last call is answered from its record.
-- KEYS: fixed
-- ARGV: producer, lane, seq, ids (16 bytes each), dues ('' = all now; else comma separated: 0 = now, +ms = from now,
--       ms = Unix time), envelope...
-- RETURNS: now_us, outcomes ('' = all created; else a letter each: c created, d duplicate, x duplicate of a cancelled
--          job whose list entry is still there, e not an envelope, or the nil id)
-- ERRORS: STALE, WRONGKEY, OOM, BADCALL
local sizes, err = measure()
if err then return err end
local now_us, now = clock()
local field, seq = ARGV[1] .. ARGV[2], tonumber(ARGV[3])
if ARGV[1] ~= '' then
  local last, record = lane_record(PRODUCERS, field)
  if seq == last then
    return {int(now_us), sub(record, (string.find(record, ' ', 1, true)) + 1)}
  elseif seq < last then
    return stale(last)
  end
end

local ids = split16(ARGV[4])
if #ids == 0 or #ARGV[4] % 16 ~= 0 or #ARGV ~= #ids + 5 then
  return redis.error_reply('BADCALL ' .. #ids .. ' ids and ' .. (#ARGV - 5) .. ' envelopes')
end
local dues
if ARGV[5] ~= '' then
  dues = {}
  for due in string.gmatch(ARGV[5], '[^,]+') do
    local ms = tonumber(due)
    if not ms or ms < 0 then
      return redis.error_reply('BADCALL due ' .. sub(due, 1, 40))
    end
    dues[#dues + 1] = sub(due, 1, 1) == '+' and after(now_us, ms) or ms
  end
  if #dues ~= #ids then
    return redis.error_reply('BADCALL ' .. #ids .. ' ids and ' .. #dues .. ' due times')
  end
end

local known = gather('HMGET', JOBS, ids)
local words, seen = nil, {} -- words only once something was not created
local jobs, scheduled, lists, created = {}, {}, {}, 0
for i = 1, #ids do
  local id, envelope, old = ids[i], ARGV[i + 5], known[i]
  local version, _, p = byte(envelope, 1, 3)
  local word = old and (tombstone(old) and 'x' or 'd') or seen[id] and 'd'
  if not word and (#envelope < 5 or version == 0 or p > 9 or id == NOBODY) then
    word = 'e'
  end
  if word then
    if not words then
      words = {}
      for j = 1, #ids do
        words[j] = 'c'
      end
    end
    words[i] = word
  else
    seen[id] = true
    created = created + 1
    jobs[2 * created - 1], jobs[2 * created] = id, envelope
    if dues and dues[i] > now then
      scheduled[#scheduled + 1] = int(dues[i])
      scheduled[#scheduled + 1] = id
    else
      local list = lists[p]
      if not list then
        list = {}
        lists[p] = list
      end
      list[#list + 1] = id
    end
  end
end

local outcomes = words and table.concat(words) or ''
if created > 0 then
  local before = #scheduled > 0 and head_due()
  for i = 1, #jobs, STEP do
    -- The first write that could grow: a full Redis refuses it here, with nothing moved.
    local r = pcall('HSET', JOBS, unpack(jobs, i, min(i + STEP - 1, #jobs)))
    if type(r) == 'table' then
      return redis.error_reply(r.err)
    end
  end
  if #scheduled > 0 then
    chunks('ZADD', SCHEDULED, scheduled)
    arm(before, sizes)
  end
  local some = false
  for p, list in pairs(lists) do
    chunks('RPUSH', ready(p), list)
    some = true
  end
  if some then
    wake(sizes, 1)
  end
  tally('enqueued', created)
end

if ARGV[1] ~= '' then
  admit(field, sizes, now)
  local r = pcall('HSET', PRODUCERS, field, int(seq) .. ' ' .. int(now) .. ' ' .. outcomes)
  if type(r) == 'table' and #jobs > 0 then
    return redis.error_reply(r.err)
  end
end
return {int(now_us), outcomes}
