-- Keeps a new session.
--
-- Keys:      1 the record
-- Arguments: 1 milliseconds after which the server may sweep it   then names and values of all its fields in turn
-- Result:    1, or 0 where a record is there, whatever its state.
-- One step:  an id is taken once.  The server's check of its memory comes before the first HSET, not between them.

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for first = 2, #ARGV, 2000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
