-- drop: forgets a queue that holds no job and that no live session serves, all its keys with it.
-- KEYS: fixed, then running and lanes of every session
-- ARGV: server time in ms after which the call is void, then every session, in the order of KEYS
-- RETURNS: now_us, word (OK, BUSY = there are jobs or live sessions, CHANGED = other sessions, read them again), sessions
--          that are alive
-- ERRORS: WRONGKEY, EXPIRED
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local now_us, now = clock()
if now > tonumber(ARGV[1]) then return redis.error_reply('EXPIRED call') end
if not same_sessions(2) then return {int(now_us), 'CHANGED', 0} end
local jobs = sizes[N_SCHEDULED] + sizes[N_DEAD] + sizes[N_FINISHED] + sizes[N_SUSPECT]
for p = 0, 9 do
  jobs = jobs + sizes[READY + p]
end
jobs = jobs - (tonumber(call('HGET', META, 'ghosts') or '0') or 0)
local gone = {}
for i = 24, #KEYS, 2 do
  for command, key in pairs({ZCARD = KEYS[i], HLEN = KEYS[i + 1]}) do
    local n = pcall(command, key)
    if type(n) == 'table' then return wrong(key, n.err) end
    if command == 'ZCARD' then
      jobs = jobs + n
    end
    gone[#gone + 1] = key
  end
end
local alive = call('ZCOUNT', SESSIONS, '(' .. int(now), '+inf')
if jobs > 0 or alive > 0 then return {int(now_us), 'BUSY', alive} end
for i = 1, 23 do
  gone[#gone + 1] = KEYS[i]
end
for i = 1, #gone, STEP do
  call('UNLINK', unpack(gone, i, min(i + STEP - 1, #gone)))
end
return {int(now_us), 'OK', 0}
