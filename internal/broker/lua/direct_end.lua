-- direct_end: puts back what direct_begin moved away, in place of what was written meanwhile.
-- KEYS: jobs, ready
-- ARGV: producer and lane and seq
-- RETURNS: 1 where it did
local try,K,s=redis.pcall,KEYS,'~'..ARGV[1]
if try('DEL',K[1]..s..'~')~=1 then return 0 end
for i=1,2 do
try('DEL',K[i])
try('RENAME',K[i]..s,K[i])
end
return 1
