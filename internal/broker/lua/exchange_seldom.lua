-- What exchange seldom does. It stands behind moves.lua, in the library.

-- resent answers a call again whose answer was lost, from its record. The batch is the range of tokens that the call took, and
-- still runs.
local function resent(record, running, now_text)
  local word, left, suspects, taken, lo, hi, refused = string.match(record, '^%d+ (%u+) (%d) (%d+) (%d) (%d+) (%d+) (.*)$')
  local ids, envelopes, records = {}, {}, {}
  if tonumber(hi) >= tonumber(lo) then
    local found, at = pcall('ZRANGEBYSCORE', running, lo, hi, 'WITHSCORES'), tonumber(lo)
    if found.err then return wrong(running, found.err) end
    for i = 1, tonumber(hi) - at + 1 do
      ids[i] = NOBODY
    end
    for i = 1, #found, 2 do
      ids[tonumber(found[i + 1]) - at + 1] = found[i]
    end
    envelopes, records = gather('HMGET', JOBS, ids), gather('HMGET', STATE, ids)
    for i = 1, #ids do
      envelopes[i], records[i] = envelopes[i] or '', records[i] or ''
    end
  end
  return {now_text, word, left, suspects, refused, taken, lo, table.concat(ids), envelopes, records}
end

-- keep ends the job of a kept ack, whose five arguments begin at this place, unless the claim was not ours any more.
local function keep(at, running, now_us)
  local id, token, retention, record, result = unpack(ARGV, at, at + 4)
  local score = call('ZSCORE', running, id)
  if not score or tonumber(score) ~= tonumber(token) then
    return false
  end
  local old = call('HGET', STATE, id)
  local new = record ~= '' and record or old or NEW
  call('ZREM', running, id)
  call('HSET', STATE, id, sub(new, 1, 2) .. (old and sub(old, 3, 4) or '\0\0') .. sub(new, 5))
  call('ZADD', FINISHED, int(floor(now_us / 1000) + tonumber(retention)), id)
  if result ~= '' then
    call('HSET', RESULTS, id, result)
  end
  call('HDEL', CANCELS, id)
  return true
end
