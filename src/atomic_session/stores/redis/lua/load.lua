-- Reads a session whole, and renews it when that is due.
--
-- Arguments: 4 max_age of the settings   5 touch_after, empty for a tenth of it
-- Result:    all data.
-- One step:  the renewal goes with the read, so that of many requests one sends the cookie again.  Where the server
--            has no memory left the read is worth more than the renewal, which stays due.

local known, fields, taken, code = false, nil, false, DONE
local due = now >= tonumber(renew)
if due then
  local before = found[1]
  renewed(ARGV[4], ARGV[5])
  local reply = redis.pcall('HSET', key, '\0h', found[1])
  if type(reply) == 'table' and reply.err then
    if not find(reply.err, 'OOM', 1, true) then return reply end
    due, found[1] = false, before
  else
    call('PEXPIRE', key, idle - now + SLACK)
  end
end
