-- Applies operators to a session, all or none, and renews it.
--
-- Arguments: 4 max_age of the settings   5 touch_after, empty for a tenth of it   6 the rev that the caller knows,
--            empty for none   7 most bytes of a field   8 most bytes of all   9 most padding   10 most depth   11 the
--            guards and operators in their order: a verb, how many names its path has, these, and what the verb needs
--            (see updates.py)
-- Result:    the data of the fields that the arguments name where the caller knows the rest, else all.  Where it was
--            refused, in the place of data: which guard or operator it was, counted from 1, 0 for none, and a reason,
--            or a limit, its maximum and what it would be.
--            Where values are compared that a script cannot compare: names and values of all fields, as they are.
-- One step:  guards, operators, limits, deadline and answer belong together: nobody can come between.

local sets, gone, due = {'\0h', false}, {}, false
if replacement then
  size, known = 0, false
  local stay = {}
  for place = replacement, names, 2 do
    sets[#sets + 1], sets[#sets + 2] = ARGV[place], ARGV[place + 1]
    stay[ARGV[place]] = true
  end
  for _, name in ipairs(call('HKEYS', key)) do
    if byte(name) ~= 0 and not stay[name] then gone[#gone + 1] = name end
  end
elseif code == DONE then
  for place = names + 1, #ARGV do
    local name, old = ARGV[place], found[place - names + 3]
    local new = fields[name]
    if new ~= old then
      if old then size = size - #name - #old - 4 end
      if new then sets[#sets + 1], sets[#sets + 2] = name, new else gone[#gone + 1] = name end
    end
  end
end

if code == DONE then
  local over
  for place = 4, #sets, 2 do
    local length = #sets[place]
    if length > tonumber(ARGV[7]) then over = over or {0, 'field', ARGV[7], length} end
    size = size + #sets[place - 1] + length + 4
  end
  if not over and size + 1 > tonumber(ARGV[8]) then over = {0, 'record', ARGV[8], size + 1} end
  if over then return {found[1], found[2], found[3], over, false, 0, REFUSED} end

  -- All is decided: write.
  rev = rev + 1
  due = renewed(ARGV[4], ARGV[5])
  sets[2] = found[1]
  for first = 1, #sets, 2000 do call('HSET', key, unpack(sets, first, math.min(first + 1999, #sets))) end
  for first = 1, #gone, 2000 do call('HDEL', key, unpack(gone, first, math.min(first + 1999, #gone))) end
  call('PEXPIRE', key, idle - now + SLACK)
end
