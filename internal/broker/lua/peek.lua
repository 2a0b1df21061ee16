-- peek: what stands at the head of a queue: how long work waits there. Reads only, at a cost that does not depend on how
-- much there is.
-- KEYS: fixed
-- ARGV: bytes of an envelope (and of a record) to answer at most
-- RETURNS: now_us, time of the next scheduled job in ms ('' = none), sessions that live, then two for the first job of each
--          priority and of the suspects, where one is found behind at most 200 stale entries: how its envelope begins, and
--          how its record does
-- ERRORS: WRONGKEY
local sizes, err = measure()
if err then return err end
local now_us, now = clock()
local LOOK = 200
local due = head_due()
local out = {int(now_us), due and int(due) or '', call('ZCOUNT', SESSIONS, '(' .. int(now), '+inf')}

-- first answers the beginnings of a list's first live job.
local function first(list)
  local entries = call('LRANGE', list, 0, LOOK - 1)
  for i = 1, #entries do
    local id = sub(entries[i], 1, 16)
    local record = sizes[N_STATE] > 0 and call('HGET', STATE, id) or ''
    -- A tombstone has 2 bytes.
    if call('HSTRLEN', JOBS, id) > 2 and (byte(record, 3) or 0) == (byte(entries[i], 17) or 0) then
      return sub(call('HGET', JOBS, id), 1, tonumber(ARGV[1])), sub(record, 1, tonumber(ARGV[1]))
    end
  end
end

for p = 10, 0, -1 do
  local list, size = SUSPECT, sizes[N_SUSPECT]
  if p < 10 then
    list, size = ready(p), sizes[READY + p]
  end
  if size > 0 then
    local envelope, record = first(list)
    if envelope then
      out[#out + 1] = envelope
      out[#out + 1] = record
    end
  end
end
return out
