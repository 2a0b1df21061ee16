-- Shared by every script of durable topics: the clock, numbers as text, typed reads, retention.
local call, pcall = redis.call, redis.pcall
local sub, format, min, max, floor = string.sub, string.format, math.min, math.max, math.floor
local STEP = 1000 -- values in one unpack: some servers fail at a few thousand
local LOST, LEFT = -1, -2 -- scores of members that are gone: judged dead, and gone by themselves

-- int writes a number that may be beyond 2^31 as plain digits: servers differ in how Lua numbers become text.
local function int(n) return format('%.0f', n) end

local function clock()
  local t = call('TIME')
  local us = tonumber(t[1]) * 1000000 + tonumber(t[2])
  return us, floor(us / 1000)
end

-- measure reads the size of keys before the first write: Lua does not roll back, so a key of the wrong type must stop a
-- script while nothing has moved. It is given command, key, command, key.
local function measure(...)
  local list = {...}
  for i = 1, #list, 2 do
    local n = pcall(list[i], list[i + 1])
    if type(n) == 'table' and n.err then
      if string.find(n.err, 'WRONGTYPE', 1, true) then
        return redis.error_reply('WRONGKEY ' .. list[i + 1])
      end
      return redis.error_reply(n.err)
    end
  end
end

-- shrink is a write that cannot grow: made first, it lets the rest of a script run at maxmemory.
local function shrink(key) call('HDEL', key, '') end

-- fields makes a table of a list of names and values.
local function fields(list)
  local out = {}
  for i = 1, #list, 2 do
    out[list[i]] = list[i + 1]
  end
  return out
end

-- before compares positions.
local function before(a, b)
  local ms, seq = string.match(a, '^(%d+)-(%d+)$')
  local ms2, seq2 = string.match(b, '^(%d+)-(%d+)$')
  ms, ms2 = tonumber(ms), tonumber(ms2)
  return ms < ms2 or ms == ms2 and tonumber(seq) < tonumber(seq2)
end

-- first answers the first position from one on, or nil.
local function first(stream, from)
  local entry = call('XRANGE', stream, from, '+', 'COUNT', 1)[1]
  return entry and entry[1]
end

-- excess tells whether there is something that retention does not keep.
local function excess(stream, how, threshold)
  if how == 'MAXLEN' then
    return call('XLEN', stream) > tonumber(threshold)
  end
  local oldest = first(stream, '-')
  return oldest and before(oldest, threshold .. '-0')
end

-- trim drops what retention no longer keeps: whole nodes of the stream first, 10,000 messages at most, and then one by one
-- what is left of the last node. keep is 'MAXLEN <n>' or 'MINID <ms of age>', or both; '' keeps all. It notes the groups
-- that had not been given a message that is dropped.
local function trim(stream, about, keep, now)
  for how, n in string.gmatch(keep, '(%u+) (%d+)') do
    local threshold = how == 'MINID' and int(max(now - tonumber(n), 0)) or n
    if excess(stream, how, threshold) then
      local groups = call('XINFO', 'GROUPS', stream)
      for i = 1, #groups do
        groups[i] = fields(groups[i])
        groups[i].next = first(stream, '(' .. groups[i]['last-delivered-id'])
      end
      if call('XTRIM', stream, how, '~', threshold) < 9000 then
        call('XTRIM', stream, how, threshold)
      end
      local oldest = first(stream, '-')
      for i = 1, #groups do
        local g = groups[i]
        if g.next and (not oldest or before(g.next, oldest)) then
          call('HSETNX', about, 'missed:' .. g['name'], g['last-delivered-id'])
        end
      end
    end
  end
end

-- content picks a message's bytes out of an entry's fields: ours, or what another program put into 'data'.
local function content(fields)
  local data
  for i = 1, #fields, 2 do
    if fields[i] == 'm' then
      return fields[i + 1]
    elseif fields[i] == 'data' then
      data = fields[i + 1]
    end
  end
  return data
end
