-- The beginning of every script about one record: who may use it, and how it is renewed and written.
--
-- Keys:      1 the record, a hash.  A field of the session's data has its own name and holds its value's text; no name
--            of a field begins with NUL, so these are ours:
--              \0h  [rev, last_used, renew_at, idle_deadline, absolute_deadline, max_age, size of the data, destroyed]
--              \0s  [digest, created, authenticated_at, previous_digest, previous_until, grace_until]
--              \0o  owner
--            The first two are JSON without spaces; digests are base64.
-- Arguments: 1 the digest that the command shows, empty where the application asks   2 now   3 how many fields of the
--            data are read or changed: their names are the last arguments
-- Result:    a list: the three fields of ours, the text of data, the text that was taken, 1 where the cookie is to be
--            sent again, and last what became of the command.  Where it was not done that may be all.
-- One step:  the server runs one script at a time, so nothing happens between its look at the record and its write.
--            Nothing is written before all is decided, and the first write is an HSET, which a server without memory
--            refuses: then nothing happened.
--
-- Making a function costs as much here as what most of them do, so what every script does once stands in a row.

local DONE, UNMET, REFUSED, ROTATED, DESTROYED, ABSENT, EXISTS, AGAIN, CORRUPT = 0, 1, 2, 3, 4, 5, 6, 7, 8
local SLACK = 3600000 -- milliseconds that the server waits longer than the deadline, which is ours to judge
local HOT = '^%[(%d+),%d+,(%d+),(%d+),(%w+),(%w+),(%d+),([01])%]$'
local STATIC = '^%["([^"]*)",(%d+),(%w+),"?([^",]*)"?,(%d+),(%d+)%]$'

local call = redis.call
local byte, find, sub, match, format = string.byte, string.find, string.sub, string.match, string.format
local key, digest, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local names = #ARGV - ARGV[3] -- the names are the arguments behind this one

local found = call('HMGET', key, '\0h', '\0s', '\0o', unpack(ARGV, names + 1))
if not found[1] then return {ABSENT} end
local rev, renew, idle, absolute, own, size, destroyed = match(found[1], HOT)
if not rev or not found[2] then return {CORRUPT} end
if digest ~= '' and sub(found[2], 3, #digest + 3) ~= digest .. '"' then
  local _, _, _, previous, till, grace = match(found[2], STATIC)
  if previous ~= digest or now >= tonumber(till) then return {ABSENT} end
  if now >= tonumber(grace) then return {ROTATED} end
end
if now >= tonumber(idle) or absolute ~= 'null' and now >= tonumber(absolute) then return {ABSENT} end
if destroyed == '1' then return {DESTROYED} end

-- Counts the record as used now; returns whether a renewal was due.
local function renewed(max_age, touch_after)
  local wait = tonumber(own == 'null' and max_age or own)
  local due = now >= tonumber(renew)
  idle = now + wait
  if absolute ~= 'null' and tonumber(absolute) < idle then idle = absolute end
  if due then
    local rest = tonumber(touch_after) -- nil where it is empty
    renew = now + (rest and rest < wait and rest or math.floor(wait / 10))
  end
  found[1] = format('[%d,%s,%d,%d,%s,%s,%d,0]', rev, ARGV[2], renew, idle, absolute, own, size)
  return due
end
