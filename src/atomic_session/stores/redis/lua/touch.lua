-- Renews a session, or gives it an idle time of its own.
--
-- Arguments: 3 max_age of the settings   4 touch_after, empty for a tenth of it   5 max_age of its own, empty for none
-- Result:    no data.
-- One step:  guard, deadline and sweeping go together.

local refused = enter(1, 0)
if refused then return {refused} end
if ARGV[5] ~= '' then own, renew = ARGV[5], now end
local due = renewed(ARGV[3], ARGV[4])
found[1] = hot()
call('HSET', key, '\0h', found[1])
sweep()
return answered(false, false, due, DONE)
