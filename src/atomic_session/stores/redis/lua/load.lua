-- Reads a session whole, and renews it when that is due.
--
-- Arguments: 4 max_age of the settings   5 touch_after, empty for a tenth of it
-- Result:    all data.
-- One step:  the renewal goes with the read, so that of many requests one sends the cookie again.  Where a master takes
--            no writes at the moment (no memory, no disk, too few replicas), the read is worth more than the renewal,
--            which stays due.  What a replica says may be old: it is no answer.

local known, fields, taken, code = false, nil, false, DONE
local due = now >= tonumber(renew)
if due then
  local before = found[1]
  renewed(ARGV[4], ARGV[5])
  local reply = redis.pcall('HSET', key, '\0h', found[1])
  if type(reply) == 'table' and reply.err then
    local why = reply.err
    if not (find(why, 'OOM', 1, true) or find(why, 'MISCONF', 1, true) or find(why, 'NOREPLICAS', 1, true)) then
      return reply
    end
    due, found[1] = false, before
  else
    call('PEXPIRE', key, idle - now + SLACK)
  end
end
