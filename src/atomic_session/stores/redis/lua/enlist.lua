-- Writes a session into the list of its owner, before it becomes the owner's.
--
-- Keys:      1 the owner's list, a sorted set: ids by until when a login of theirs may be under way, 0 where
--            none is, and less than 0, its negative, where they give way to such a login; and under an empty name
--            a number that each writing moves
-- Arguments: 1 the id   2 until when its login may be under way   3 milliseconds for which the list is to stay
--            4 the number that the caller has seen, empty for any   5 how many give way
--            then the ids that give way, and those that are over
-- Result:    1, or 0 where somebody has written since.
-- One step:  of two logins that want the last place one gets it: who comes second has seen an old number.

local key = KEYS[1]
if ARGV[4] ~= '' and (redis.call('ZSCORE', key, '') or '0') ~= ARGV[4] then return 0 end
redis.call('ZINCRBY', key, 1, '')
redis.call('ZADD', key, ARGV[2], ARGV[1])
local last = 5 + tonumber(ARGV[5])
for place = 6, last do redis.call('ZADD', key, '-' .. ARGV[2], ARGV[place]) end
for place = last + 1, #ARGV do redis.call('ZREM', key, ARGV[place]) end
if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
return 1
