-- Gives a session a new digest, and a new owner where it is a login.
--
-- Arguments: 3 max_age of the settings   4 touch_after, empty for a tenth of it   5 the new digest   6 until when the
--            old one is remembered   7 until when it still opens the session   8 1 for a login
--            9 absolute deadline from a login, empty for none   10 owner from a login
-- Result:    no data.
-- One step:  of two rotations of one token one succeeds; no write under the old token comes after it.

local refused = enter(1, 0)
if refused then return {refused} end
local current, created, authenticated = string.match(found[2], STATIC)
if current ~= digest then return {ROTATED} end
local owner = found[3]
if ARGV[8] == '1' then
  absolute, authenticated, owner = ARGV[9] == '' and 'null' or ARGV[9], ARGV[2], ARGV[10]
end
renew = now
renewed(ARGV[3], ARGV[4])
local text = hot()
local static = string.format('["%s",%s,%s,"%s",%s,%s]', ARGV[5], created, authenticated, digest, ARGV[6], ARGV[7])
if owner then
  call('HSET', key, '\0h', text, '\0s', static, '\0o', owner)
else
  call('HSET', key, '\0h', text, '\0s', static)
end
sweep()
found = {text, static, owner}
return answered(false, false, true, DONE)
