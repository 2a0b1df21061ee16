-- direct_begin: goes before a batch that Redis stores by commands of its own, in one transaction (direct.go). It sees whether the call
-- is its lane's next one, and does all but store the jobs. If not it moves both keys away, so that the commands write to nothing, until
-- direct_end puts them back. Whatever happens they are carried out: so nothing in here may fail.
-- KEYS: jobs, ready, producers, wake, meta
-- ARGV: producer and lane, seq, jobs in the call
-- RETURNS: 1, or 0 = refused, nothing done
local try,num,K,A=redis.pcall,tonumber,KEYS,ARGV
local last,tokens=try('HGET',K[3],A[1]),try('LLEN',K[4])
if last and not last.err and num(A[2])>(num(last:match('^%d+'))or 1/0)and num(tokens)and num(try('HLEN',K[1]))and num(try('LLEN',K[2]))and num(try('HINCRBY',K[5],'enqueued',A[3]))then
local t=try('TIME')
try('HSET',K[3],A[1],A[2]..' '..t[1]..('00000'..t[2]):sub(-6,-4)..' ')
if tokens<1 and try('HGET',K[5],'paused')~='1'then try('RPUSH',K[4],'1')end
return 1
end
for i=1,2 do try('RENAME',K[i],K[i]..'~')end
-- A user who may not do that has them where they are.
if try('EXISTS',K[1],K[2])<1 then try('RPUSH',K[1]..'~~','1')end
return 0
