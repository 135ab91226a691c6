-- Takes sessions off the list of an owner whose they are no more.
--
-- Keys:      1 the owner's list
-- Arguments: 1 now   then the ids
-- Result:    how many were taken off.
-- One step:  an id whose login may be under way again stays.

local gone = 0
for place = 2, #ARGV do
  local till = redis.call('ZSCORE', KEYS[1], ARGV[place])
  if till and tonumber(till) <= tonumber(ARGV[1]) then gone = gone + redis.call('ZREM', KEYS[1], ARGV[place]) end
end
return gone
