-- direct_end: puts back what direct_begin moved away, in place of what was written meanwhile.
-- KEYS: jobs, ready
-- ARGV: producer and lane and seq
-- RETURNS: 1 where it did
local p,K,s=redis.pcall,KEYS,'~'..ARGV[1]
if p('DEL',K[1]..s..'~')~=1 then return 0 end
for i=1,2 do p('DEL',K[i])p('RENAME',K[i]..s,K[i])end
return 1
