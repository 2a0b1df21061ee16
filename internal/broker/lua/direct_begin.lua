-- direct_begin: goes before a batch that Redis stores by commands of its own, in one transaction (direct.go). It sees whether the call
-- is its lane's next one, in time, and behind the call before, and does all but store the jobs. If not it moves both keys away, so that
-- the commands write to nothing, until direct_end puts them back. Whatever happens they are carried out: so nothing in here may fail.
-- KEYS: jobs, ready, producers, wake, meta
-- ARGV: producer and lane, seq, jobs in the call, void after (ms), producer and lane of the call before, its seq
-- RETURNS: now (ms), or below 0 = refused, nothing done
local try,num,K,A=redis.pcall,tonumber,KEYS,ARGV
local function seq(record)return record and num(record:match('^%d+'))end
local t,last,tokens=try('TIME'),try('HMGET',K[3],A[1],A[5]),try('LLEN',K[4])
local ms=num(t[1]..('00000'..t[2]):sub(-6,-4))
if num(A[2])>(seq(last[1])or 1/0)and num(A[6])<=(seq(last[2])or -1)and num(A[4])>=ms and num(tokens)and num(try('HLEN',K[1]))and num(try('LLEN',K[2]))and num(try('HINCRBY',K[5],'enqueued',A[3]))then
try('HSET',K[3],A[1],A[2]..' '..t[1]..('00000'..t[2]):sub(-6,-4)..' ')
if tokens<1 and try('HGET',K[5],'paused')~='1'then try('RPUSH',K[4],'1')end
return ms
end
-- The names are the call's own. Whoever may not move both has them where they are.
local s='~'..A[1]..A[2]
local mark=K[1]..s..'~'
if num(try('DEL',mark))and num(try('RPUSH',mark,'1'))then
local bad
for i=1,2 do
local err=try('RENAME',K[i],K[i]..s).err
bad=bad or err and not err:find('no such key')
end
if bad then
for i=1,2 do try('RENAME',K[i]..s,K[i])end
try('DEL',mark)
end
end
return -ms
