-- The fields that an update reads or changes, and what most updates do to them; it stands between guard.lua and
-- operators.lua, which goes on from the first guard or operator that is another.

local known = ARGV[6] == rev -- the caller needs the fields that were asked for only
local fields = {} -- the text of each of them by its name, false where it is missing
local at, number = 11, 0 -- where the next guard or operator begins, and how many there were before it
local taken, replacement = false, nil -- the text that was taken; where the names and values begin that replace all
local code = DONE
local INT = '^-?%d+$'

for place = names + 1, #ARGV do
  local text = found[place - names + 3]
  if text then -- a text of ours ends as it begins; more is not worth its price
    local first, last = byte(text), byte(text, -1)
    if not first or first == 34 and (last ~= 34 or #text == 1) then return {CORRUPT} end
    if first == 91 and last ~= 93 or first == 123 and last ~= 125 then return {CORRUPT} end
  end
  fields[ARGV[place]] = text
end

-- What most updates do to whole fields is done here, and what comes behind anything else by what is built for it.
while at < names and ARGV[at + 1] == '1' do
  local verb, name, text = ARGV[at], ARGV[at + 2], ARGV[at + 3]
  local old = fields[name]
  if verb == 'set' then
    fields[name] = text
  elseif verb == 'inc' and old and #old < 16 and #text < 16 and find(old, INT) and find(text, INT) then
    fields[name] = format('%d', old + text) -- a double adds so few digits exactly
  elseif verb == 'append' and not old then
    fields[name] = text
  elseif verb == 'append' and text ~= '[]' and #old > 2 and byte(old) == 91 then
    fields[name] = sub(old, 1, -2) .. ',' .. sub(text, 2)
  else
    break
  end
  at, number = at + 4, number + 1
end
