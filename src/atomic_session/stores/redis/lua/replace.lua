-- Puts other fields in the place of some, if nobody touched the record since it was read: the end of the slow path.
--
-- Keys:      1 the record
-- Arguments: 1 \0h as it was read   2 \0s as it was read   3 milliseconds after which the server may sweep it
--            4 how many fields go   their names   then names and values of the fields that are set, \0h first
-- Result:    1, or 0 where the record is another by now.
-- One step:  \0h holds rev, which each change of the data moves, and every deadline; \0s holds the digests.  If both
--            are what they were, so is all that was read.

local now = redis.call('HMGET', KEYS[1], '\0h', '\0s')
if now[1] ~= ARGV[1] or now[2] ~= ARGV[2] then return 0 end
local gone = tonumber(ARGV[4])
for first = 5 + gone, #ARGV, 2000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
for first = 5, 4 + gone, 2000 do
  redis.call('HDEL', KEYS[1], unpack(ARGV, first, math.min(first + 1999, 4 + gone)))
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
