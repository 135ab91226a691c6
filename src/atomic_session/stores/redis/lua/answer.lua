-- The end of a script that brings data back: the fields that were asked for where the caller knows the rest, else all.
--
-- One text goes over the wire quicker than many, and the client reads it so.

local parts = {}
if known then
  for place = names + 1, #ARGV do
    local text = fields[ARGV[place]]
    if text then parts[#parts + 1] = '"' .. ARGV[place] .. '":' .. text end
  end
else
  local all = call('HGETALL', key)
  for place = 1, #all, 2 do
    if byte(all[place]) ~= 0 then parts[#parts + 1] = '"' .. all[place] .. '":' .. all[place + 1] end
  end
end
local data = '{' .. table.concat(parts, ',') .. '}'
return {found[1], found[2], found[3], data, taken, due and 1 or 0, code}
