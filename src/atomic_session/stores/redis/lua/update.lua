-- Applies operators to a session, all or none, and renews it.
--
-- Arguments: 3 max_age of the settings   4 touch_after, empty for a tenth of it   5 the rev that the caller knows, empty
--            for none   6 most bytes of a field   7 most bytes of all   8 most padding   9 most depth   10 how many
--            fields are read or changed, their names, then the guards and operators in their order: a verb, how many
--            names its path has, these, and what the verb needs (see compile.py)
-- Result:    the data of the fields that the arguments name where the caller knows the rest, else all.  Where it was
--            refused, in the place of data: which guard or operator it was, counted from 1, 0 for none, and a reason, or
--            a limit, its maximum and what it would be.
--            Where values are compared that a script cannot compare: names and values of all fields, as they are.
-- One step:  guards, operators, limits, deadline and answer belong together: nobody can come between.

local refused = enter(11, 10 + tonumber(ARGV[10]))
if refused then return {refused} end

local count = tonumber(ARGV[10])
local at, number = 11 + count, 0
local taken, replacement = false, nil
local engine

local ENDS = {['{'] = '}', ['['] = ']', ['"'] = '"'}

for place = 1, count do
  local text = found[3 + place]
  if text then -- a text of ours ends as it begins; more is not worth its price
    local stop = ENDS[string.sub(text, 1, 1)]
    if text == '' or stop and (#text == 1 or string.sub(text, -1) ~= stop) then return {CORRUPT} end
  end
  fields[ARGV[10 + place]] = text
end

local function built()
  engine = engine or build(tonumber(ARGV[8]), tonumber(ARGV[9]))
  return engine
end

local ARGUMENTS = {push = 3, pop_first = 0, pop_last = 0} -- behind the path; the others have one

-- Says whether a text is an integer of so few digits that a double adds it exactly.
local function is_small(text) return text and #text <= 15 and string.find(text, '^-?%d+$') end

-- Carries out the guard or operator at `at` and moves on; returns true where a guard does not hold.
local function step()
  local verb, length = ARGV[at], tonumber(ARGV[at + 1])
  local from, last = at + 2, at + 1 + length
  local name = ARGV[from]
  number = number + 1
  at = last + 2
  if verb == 'set' and length == 1 then
    fields[name] = ARGV[last + 1]
  elseif verb == 'inc' and length == 1 and is_small(fields[name]) and is_small(ARGV[last + 1]) then
    fields[name] = string.format('%d', tonumber(fields[name]) + tonumber(ARGV[last + 1]))
  elseif verb == 'append' then -- a push to the end
    local old, new = fields[name], ARGV[last + 1]
    if length == 1 and not old then
      fields[name] = new
    elseif length == 1 and new ~= '[]' and #old > 2 and string.byte(old) == 91 then
      fields[name] = string.sub(old, 1, -2) .. ',' .. string.sub(new, 2)
    else
      at = last + 4
      built().change('push', from, last)
      return
    end
    at = last + 4
  elseif verb == 'unset' or verb == 'take' then
    at = last + 1
    local old = fields[name]
    if length == 1 then
      fields[name] = false
    else
      old = built().remove(from, last)
    end
    if verb == 'take' then taken = old or false end
  elseif verb == 'rename' then
    local to = last + 2
    local stop = to + tonumber(ARGV[last + 1]) - 1
    at = stop + 1
    built().rename(from, last, to, stop)
  elseif verb == 'when' then
    return not built().holds_at(from, last, ARGV[last + 1])
  elseif verb == 'replace' then
    replacement, at = from, #ARGV + 1
  else
    at = last + (ARGUMENTS[verb] or 1) + 1
    built().change(verb, from, last)
  end
end

-- Returns the answer with what there is now.
local function answer(code, due, known)
  if not known then return answered(whole(), taken, due, code) end
  local parts = {}
  for place = 11, 10 + count do
    local text = fields[ARGV[place]]
    if text then parts[#parts + 1] = '"' .. ARGV[place] .. '":' .. text end
  end
  return answered('{' .. table.concat(parts, ',') .. '}', taken, due, code)
end

local function run()
  while at <= #ARGV do
    if step() then return true end
  end
end

-- Returns that an operator was refused, and why: which it was, and a reason or a limit.
local function declined(...)
  return {found[1], found[2], found[3], {...}, false, 0, REFUSED}
end

local fine, problem = pcall(run)
if not fine then
  if type(problem) ~= 'table' then return {CORRUPT} end -- Lua stumbled over what is no text of ours
  if problem[1] == AGAIN then return {call('HGETALL', key), AGAIN} end
  if problem[1] == CORRUPT then return {CORRUPT} end
  return declined(number, unpack(problem, 2))
end
local known = ARGV[5] == rev
if problem then return answer(UNMET, false, known) end

-- The limits of what comes out.
local sets, gone = {'\0h', false}, {}
local function bounded(name, text)
  if #text > tonumber(ARGV[6]) then return declined(0, 'field', ARGV[6], #text) end
  sets[#sets + 1] = name
  sets[#sets + 1] = text
  size = size + #name + #text + 4
end

size = tonumber(size)
if replacement then
  size = 0
  local stay = {}
  for place = replacement, #ARGV, 2 do
    local over = bounded(ARGV[place], ARGV[place + 1])
    if over then return over end
    stay[ARGV[place]] = true
  end
  for _, name in ipairs(call('HKEYS', key)) do
    if string.byte(name) ~= 0 and not stay[name] then gone[#gone + 1] = name end
  end
else
  for place = 1, count do
    local name, old = ARGV[10 + place], found[3 + place]
    local new = fields[name]
    if new ~= old then
      if old then size = size - #name - #old - 4 end
      if new then
        local over = bounded(name, new)
        if over then return over end
      else
        gone[#gone + 1] = name
      end
    end
  end
end
if size + 1 > tonumber(ARGV[7]) then return declined(0, 'record', ARGV[7], size + 1) end

-- All is decided: write.
rev = rev + 1
local due = renewed(ARGV[3], ARGV[4])
found[1] = hot()
sets[2] = found[1]
for first = 1, #sets, 2000 do call('HSET', key, unpack(sets, first, math.min(first + 1999, #sets))) end
for first = 1, #gone, 2000 do call('HDEL', key, unpack(gone, first, math.min(first + 1999, #gone))) end
sweep()
return answer(DONE, due, known and not replacement)
