-- Renews a session, or gives it an idle time of its own.
--
-- Arguments: 4 max_age of the settings   5 touch_after, empty for a tenth of it   6 max_age of its own, empty for none
-- Result:    no data.
-- One step:  guard, deadline and sweeping go together.

if ARGV[6] ~= '' then own, renew = ARGV[6], now end
local due = renewed(ARGV[4], ARGV[5])
call('HSET', key, '\0h', found[1])
call('PEXPIRE', key, idle - now + SLACK)
return {found[1], found[2], found[3], false, false, due and 1 or 0, DONE}
