-- nudge: give a wake token back, for another worker, when there is claimable work; a hint, never a payload.
-- KEYS: fixed
-- ARGV: none
-- RETURNS: now_us
-- ERRORS: WRONGKEY
local err = shrink()
if err then return err end
local sizes
sizes, err = measure()
if err then return err end
local claimable = sizes[N_SUSPECT]
for p = 0, 9 do
  claimable = claimable + sizes[READY + p]
end
if claimable > 0 then
  wake(sizes, 1)
end
local now_us = clock()
return {int(now_us)}
