-- Ends a session: its data goes, a tombstone stays for a while.
--
-- Arguments: 3 how many milliseconds the tombstone stays   4 who must own the session, empty for anyone
-- Result:    nothing more.
-- One step:  what comes later finds the tombstone.  The data goes first, which a server without memory allows: should
--            there be no room for the tombstone, the session has ended all the same, and is unknown from then on.

local refused = enter(1, 0)
if refused then return {refused} end
if ARGV[4] ~= '' and found[3] ~= ARGV[4] then return {ABSENT} end
used, idle, absolute, size, dead = now, now + tonumber(ARGV[3]), 'null', 0, '1'
call('DEL', key)
local reply = redis.pcall('HSET', key, '\0h', hot(), '\0s', found[2])
if type(reply) ~= 'table' then sweep() end
return {DONE}
