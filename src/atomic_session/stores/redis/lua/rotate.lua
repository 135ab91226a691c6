-- Gives a session a new digest, and a new owner where it is a login.
--
-- Arguments: 4 max_age of the settings   5 touch_after, empty for a tenth of it   6 the new digest   7 until when the
--            old one is remembered   8 until when it still opens the session   9 1 for a login
--            10 absolute deadline from a login, empty for none   11 owner from a login
-- Result:    no data.
-- One step:  of two rotations of one token one succeeds; no write under the old token comes after it.

local current, created, authenticated = match(found[2], STATIC)
if current ~= digest then return {ROTATED} end
local owner = found[3]
if ARGV[9] == '1' then
  absolute, authenticated, owner = ARGV[10] == '' and 'null' or ARGV[10], ARGV[2], ARGV[11]
end
renew = now
renewed(ARGV[4], ARGV[5])
local static = format('["%s",%s,%s,"%s",%s,%s]', ARGV[6], created, authenticated, digest, ARGV[7], ARGV[8])
if owner then
  call('HSET', key, '\0h', found[1], '\0s', static, '\0o', owner)
else
  call('HSET', key, '\0h', found[1], '\0s', static)
end
call('PEXPIRE', key, idle - now + SLACK)
return {found[1], static, owner, false, false, 1, DONE}
