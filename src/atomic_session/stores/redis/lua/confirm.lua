-- Says that no login of a session is under way any more, and puts the session back where the list was lost.
--
-- Keys:      1 the owner's list
-- Arguments: 1 the id   2 milliseconds for which the list is to stay   3 1 to put it back
-- Result:    1, or 0 where it is not in the list, or gives way: another login took its place.
-- One step:  what is not in the list is not put there by two hands.

local key = KEYS[1]
local there = redis.call('ZSCORE', key, ARGV[1])
if ARGV[3] ~= '1' and (not there or tonumber(there) < 0) then return 0 end
redis.call('ZADD', key, 0, ARGV[1])
if redis.call('PTTL', key) < tonumber(ARGV[2]) then redis.call('PEXPIRE', key, ARGV[2]) end
return 1
