-- purge: every job of one state -> gone, at most 250 a call.
-- KEYS: fixed
-- ARGV: server time in ms after which the call is void, state (ready, scheduled, dead, finished)
-- RETURNS: now_us, jobs forgotten, 1 = more are left
-- ERRORS: WRONGKEY, EXPIRED, BADCALL
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[1]) then return redis.error_reply('EXPIRED call') end
local set = ({scheduled = SCHEDULED, dead = DEAD, finished = FINISHED})[ARGV[2]]
local gone = {}
if set then
  local before = head_due()
  gone = call('ZRANGE', set, 0, 249)
  if #gone > 0 then
    chunks('ZREM', set, gone)
    arm(before, sizes)
    bury(gone, sizes)
    tally('deleted', #gone)
  end
  return {int(now_us), #gone, call('ZCARD', set) > 0 and 1 or 0}
end
if ARGV[2] ~= 'ready' then return redis.error_reply('BADCALL state ' .. ARGV[2]) end
local looked, left = 0, 0
for p = 10, 0, -1 do
  local list = p == 10 and SUSPECT or ready(p)
  if looked < 250 then
    local entries = call('LPOP', list, 250 - looked) or {}
    looked = looked + #entries
    for i = 1, #entries do
      local id = sub(entries[i], 1, 16)
      if drop_ghost(entries[i], list) then
        looked = looked - 1
      else
        gone[#gone + 1] = id
      end
    end
  end
  left = left + call('LLEN', list)
end
bury(gone, sizes)
if #gone > 0 then
  tally('deleted', #gone)
end
return {int(now_us), #gone, left > 0 and 1 or 0}
