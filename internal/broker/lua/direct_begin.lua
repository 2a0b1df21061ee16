-- direct_begin: goes before a batch that Redis stores by commands of its own, in one transaction (direct.go). It sees whether the call
-- is its lane's next one, in time, and behind the call before, and does all but store the jobs. If not it moves both keys away, so that
-- the commands write to nothing, until direct_end puts them back. Whatever happens they are carried out: so nothing in here may fail.
-- Redis computes the digest of the text for each call, which takes as long as a command for every 64 bytes: hence its letters. These
-- lines are not sent.
-- KEYS: jobs, ready, producers, wake, meta
-- ARGV: producer and lane, seq, jobs in the call, void after (ms), producer and lane of the call before if there is one, its seq
-- RETURNS: now (ms), or 0 and below = refused, nothing done
local p,n,K,A=redis.pcall,tonumber,KEYS,ARGV
-- l: the records of the lane and of that before; w: the tokens that wake; s and m: now, in text and number, if the user may ask
local t,l,w=p('TIME'),p('HMGET',K[3],A[1],A[5]or A[1]),p('LLEN',K[4])
local s=t[1]and t[1]..('00000'..t[2]):sub(-6,-4)
local m=n(s or'')
-- Typed reads, and at last the first write: a counter that is none refuses the call too.
if m and n(A[2])>(n((l[1]or''):match('^%d+')or'')or 1/0)and(not A[6]or n(A[6])<=(n((l[2]or''):match('^%d+')or'')or-1))and n(A[4])>m and n(w)and n(p('HLEN',K[1]))and n(p('LLEN',K[2]))and n(p('HINCRBY',K[5],'enqueued',A[3]))then
p('HSET',K[3],A[1],A[2]..' '..s..' ')
if w<1 and p('HGET',K[5],'paused')~='1'then p('RPUSH',K[4],1)end
return m
end
-- s: what the names away from here end with, which are the call's own; t: the mark that they are there
s='~'..A[1]..A[2]
t=K[1]..s..'~'
if n(p('DEL',t))and n(p('RPUSH',t,1))then
-- b: one may not be moved, and so neither is
local b
for i=1,2 do
l=p('RENAME',K[i],K[i]..s).err
b=b or l and not l:find('no such')
end
if b then
for i=1,2 do p('RENAME',K[i]..s,K[i])end
p('DEL',t)
end
end
return-(m or 0)
