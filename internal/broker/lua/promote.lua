-- promote: scheduled and due -> ready, at most 250 a call. Atomic, so two timers are harmless.
-- KEYS: fixed
-- ARGV: none
-- RETURNS: now_us, moved, time of the next scheduled job in ms ('' = none), which is in the past if more are due
-- ERRORS: WRONGKEY
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
local ids = call('ZRANGEBYSCORE', SCHEDULED, '-inf', int(now), 'LIMIT', 0, 250)
if #ids > 0 then
  local envelopes = gather('HMGET', JOBS, ids)
  local records = sizes[N_STATE] > 0 and gather('HMGET', STATE, ids) or {}
  local lists, suspects = {}, {}
  for i = 1, #ids do
    if envelopes[i] and not tombstone(envelopes[i]) then
      local list = suspects
      if not has(records[i], SUSPECTED) then
        local p = priority(envelopes[i])
        list = lists[p] or {}
        lists[p] = list
      end
      list[#list + 1] = entry(ids[i], records[i])
    end
  end
  chunks('ZREM', SCHEDULED, ids)
  for p, list in pairs(lists) do
    chunks('RPUSH', ready(p), list)
  end
  if #suspects > 0 then
    chunks('RPUSH', SUSPECT, suspects)
  end
  wake(sizes, 1)
end
local due = head_due()
return {int(now_us), #ids, due and int(due) or ''}
