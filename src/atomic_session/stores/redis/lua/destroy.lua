-- Ends a session: its data goes, a tombstone stays for a while.
--
-- Arguments: 4 how many milliseconds the tombstone stays   5 who must own the session, empty for anyone
-- Result:    nothing more.
-- One step:  what comes later finds the tombstone.  The data goes first, which a server without memory allows: should
--            there be no room for the tombstone, the session has ended all the same, and is unknown from then on.

if ARGV[5] ~= '' and found[3] ~= ARGV[5] then return {ABSENT} end
local deadline = now + ARGV[4]
local hot = format('[%d,%s,%s,%d,null,%s,0,1]', rev, ARGV[2], renew, deadline, own)
call('DEL', key)
local reply = redis.pcall('HSET', key, '\0h', hot, '\0s', found[2])
if type(reply) ~= 'table' then call('PEXPIRE', key, deadline - now + SLACK) end
return {DONE}
