-- Shared by every script: what reads and writes the books. It is kept small: producers send it. What workers' and operators'
-- scripts need beside it is in prelude.lua and moves.lua.
local call, pcall = redis.call, redis.pcall
local byte, char, sub, format, min, max, floor = string.byte, string.char, string.sub, string.format, math.min, math.max, math.floor
local PRODUCERS, META -- which keys these are each script says
local NOBODY = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' -- the id of no job
local STEP = 1000 -- values in one unpack: some servers fail at a few thousand

-- basics makes the functions. Redis runs a script's whole text at each call, and each function in it is made anew: enqueue makes
-- these only where it needs one.
local function basics()
  -- int writes a number that may be beyond 2^31 as plain digits: servers differ in how Lua numbers become text.
  local function int(n) return format('%.0f', n) end

  local function clock()
    local t = call('TIME')
    local us = tonumber(t[1]) * 1000000 + tonumber(t[2])
    return us, floor(us / 1000)
  end

  local function wrong(key, err)
    if sub(err, 1, 9) == 'WRONGTYPE' then
      return redis.error_reply('WRONGKEY ' .. key)
    end
    return redis.error_reply(err)
  end

  -- tally adds to a counter. It stands behind writes that nothing rolls back, so one that is no number (a foreign hand)
  -- begins anew and stops nothing.
  local function tally(name, n)
    if type(pcall('HINCRBY', META, name, n)) == 'table' then
      call('HSET', META, name, n)
    end
  end

  -- lane reads the record of a lane's last call: its number and what it answered.
  local function lane_record(key, field)
    local record = call('HGET', key, field)
    if not record then
      return 0, ''
    end
    local at = string.find(record, ' ', 1, true)
    return tonumber(sub(record, 1, at - 1)), sub(record, at + 1)
  end

  local function stale(last)
    return redis.error_reply('STALE lane is at ' .. int(last))
  end

  -- kept is for how long (ms) the record of a producer's lane is kept: 10 minutes, an input's (numbers from 2^40 on, see
  -- fence) 7 days.
  local function kept(number) return number < 2 ^ 40 and 600000 or 604800000 end

  -- admit makes a lane that has no record yet pay for the upkeep of the others: it looks at a few and drops the old ones,
  -- and where there are too many one that is not, an input's last.
  local function admit(now)
    local records = call('HLEN', PRODUCERS)
    if records < 1000 then
      return
    end
    local some, dropped, victim, least = call('HRANDFIELD', PRODUCERS, 8, 'WITHVALUES'), 0, nil, nil
    for i = 1, #some, 2 do
      local number, at = string.match(some[i + 1], '^(%d+) (%d+)')
      number, at = tonumber(number or '0'), tonumber(at or '0')
      local left = at + kept(number) - now
      if left < 0 then
        dropped = dropped + call('HDEL', PRODUCERS, some[i])
      elseif not least or left < least then
        victim, least = some[i], left
      end
    end
    if dropped == 0 and records >= 20000 and victim then
      call('HDEL', PRODUCERS, victim)
      tally('producers_evicted', 1)
    end
  end

  return {int = int, clock = clock, wrong = wrong, tally = tally, lane_record = lane_record, stale = stale, kept = kept, admit = admit}
end
