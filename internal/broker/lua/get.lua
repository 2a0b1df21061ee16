-- get: one job with the state it is in. Reads only.
-- KEYS: fixed, then running of every session
-- ARGV: id, '', then every session, in the order of KEYS
-- RETURNS: now_us, word (READY, SCHEDULED, RUNNING, DEAD, FINISHED, UNKNOWN, CHANGED), score (due, claim token, time of
--          death, end of retention), session, cancel mark, envelope, state record, result
-- ERRORS: WRONGKEY
local sizes, err = measure()
if err then return err end
local now_us = clock()
local id = ARGV[1]
local envelope = call('HGET', JOBS, id)
if not envelope or tombstone(envelope) then return {int(now_us), 'UNKNOWN', '', '', '', '', '', ''} end
local word, score, session = 'READY', '', ''
for name, key in pairs({SCHEDULED = SCHEDULED, DEAD = DEAD, FINISHED = FINISHED}) do
  local s = call('ZSCORE', key, id)
  if s then
    word, score = name, int(tonumber(s))
  end
end
if word == 'READY' then
  local running, err2 = locate_running({id}, 3)
  if err2 then return err2 end
  if not running then return {int(now_us), 'CHANGED', '', '', '', '', '', ''} end
  if running[id] then
    word, score, session = 'RUNNING', running[id].token, running[id].session
  end
end
return {int(now_us), word, score, session, call('HGET', CANCELS, id) or '', envelope, call('HGET', STATE, id) or '',
  call('HGET', RESULTS, id) or ''}
