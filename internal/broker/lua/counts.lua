-- counts: how many jobs a queue has in each state, and its totals. Reads only, at a cost that does not depend on them.
-- KEYS: fixed, then running of every session
-- ARGV: '', '', then every session, in the order of KEYS
-- RETURNS: now_us, word (OK, CHANGED = other sessions, read them again), ready (with suspects, without ghosts),
--          scheduled, running, dead, finished, suspects (without ghosts), paused, then
--          names and values of the counters
-- ERRORS: WRONGKEY
local sizes, err = measure()
if err then return err end
local now_us = clock()
if not same_sessions(3) then return {int(now_us), 'CHANGED', 0, 0, 0, 0, 0, 0, 0} end
local running = 0
for i = 24, #KEYS do
  local n = pcall('ZCARD', KEYS[i])
  if type(n) == 'table' then return wrong(KEYS[i], n.err) end
  running = running + n
end
local total = sizes[N_SUSPECT]
for p = 0, 9 do
  total = total + sizes[READY + p]
end
local meta = call('HMGET', META, 'ghosts', 'paused', 'suspect_ghosts')
local names = {'enqueued', 'succeeded', 'failed', 'died', 'cancelled', 'expired', 'snoozed', 'released', 'recovered', 'redriven',
  'deleted', 'refused', 'dead_purged', 'producers_evicted'}
local out = {int(now_us), 'OK', max(0, total - (tonumber(meta[1] or '0') or 0)), sizes[N_SCHEDULED], running, sizes[N_DEAD],
  sizes[N_FINISHED], max(0, sizes[N_SUSPECT] - (tonumber(meta[3] or '0') or 0)), meta[2] == '1' and 1 or 0}
local values = call('HMGET', META, unpack(names))
for i = 1, #names do
  out[#out + 1] = names[i]
  out[#out + 1] = string.match(values[i] or '', '^%-?%d+$') or '0' -- doctor tells of one that is no number
end
return out
