-- direct_end: puts back what direct_begin moved away, in place of what was written meanwhile.
-- KEYS: jobs, ready
-- RETURNS: 1 where it did
local try,K=redis.pcall,KEYS
if try('DEL',K[1]..'~~')~=1 then return 0 end
for i=1,2 do
try('DEL',K[i])
try('RENAME',K[i]..'~',K[i])
end
return 1
