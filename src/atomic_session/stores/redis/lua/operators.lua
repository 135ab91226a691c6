-- What operators mean on raw JSON text; it stands between fields.lua and update.lua, and is left out where those that
-- fields.lua knows were all.
--
-- No value becomes a Lua table of values, and no number goes through one that rounds: text that is not touched stays
-- the text that it was.  In the text a quote always begins or ends a string, and no string holds a bracket, a brace or
-- a backslash; so the end of a string, or of a container, is found without parsing.

if at < names then
  local LIMIT, REASON = 'limit', 'reason'
  local padding, depth = tonumber(ARGV[9]), tonumber(ARGV[10])

  -- Leaves the script with why an operator was refused.
  local function refuse(reason) error({REASON, reason}) end
  local function exceed(limit, maximum, actual) error({LIMIT, limit, maximum, actual}) end

  local concat, insert, floor = table.concat, table.insert, math.floor
  local QUOTE, LIST, DICT, COMMA = 34, 91, 123, 44

  local function again() error({AGAIN}) end
  local function corrupt() error({CORRUPT}) end

  local KINDS = {['"~d'] = 'datetime', ['"~b'] = 'bytes', ['"~u'] = 'UUID', ['"~n'] = 'Decimal', ['"~o'] = 'ObjectId'}

  local function kind(text)
    local first = byte(text)
    if first == QUOTE then return KINDS[sub(text, 1, 3)] or 'str' end
    if first == LIST then return 'list' end
    if first == DICT then return 'dict' end
    if text == 'null' then return 'None' end
    if text == 'true' or text == 'false' then return 'bool' end
    return find(text, '^-?%d+$') and 'int' or 'float'
  end

  local function is_number(text)
    local first = byte(text)
    return first == 45 or first and first >= 48 and first <= 57
  end

  local function is_int(text) return find(text, '^-?%d+$') ~= nil end

  -- Containers: their parts are found by position, and put together again as text.

  local function value_end(text, at)
    local first, stop, _ = byte(text, at), nil, nil
    if first == QUOTE then
      stop = find(text, '"', at + 1, true)
    elseif first == DICT then
      _, stop = find(text, '^%b{}', at)
    elseif first == LIST then
      _, stop = find(text, '^%b[]', at)
    else
      _, stop = find(text, '^[^,%]}]+', at)
    end
    return stop or corrupt()
  end

  -- Returns where the pair with this name begins in a dict, and where its value begins and ends.
  local function locate(text, name)
    if text == '{}' then return end
    local wanted = '"' .. name .. '":'
    local at, length = 2, #wanted
    while true do
      if sub(text, at, at + length - 1) == wanted then return at, at + length, value_end(text, at + length) end
      local stop = value_end(text, (find(text, '":', at + 1, true) or corrupt()) + 2)
      if byte(text, stop + 1) ~= COMMA then return end
      at = stop + 2
    end
  end

  local function items_of(text)
    local items, count, at = {}, 0, 2
    if text == '[]' then return items, 0 end
    repeat
      local stop = value_end(text, at)
      count = count + 1
      items[count] = sub(text, at, stop)
      at = stop + 2
    until byte(text, stop + 1) ~= COMMA
    return items, count
  end

  local function pairs_of(text)
    local found_pairs, count, at = {}, 0, 2
    if text == '{}' then return found_pairs, 0 end
    repeat
      local colon = find(text, '":', at + 1, true) or corrupt()
      local stop = value_end(text, colon + 2)
      found_pairs[sub(text, at + 1, colon - 1)] = sub(text, colon + 2, stop)
      count = count + 1
      at = stop + 2
    until byte(text, stop + 1) ~= COMMA
    return found_pairs, count
  end

  local function list_of(items) return '[' .. concat(items, ',') .. ']' end

  -- Paths: a path is the arguments from..last, its first name is a field.

  local function index_of(name)
    if name == '0' or find(name, '^[1-9]%d*$') then return tonumber(sub(name, 1, 19)) + 1 end
  end

  local function child(text, name)
    local first = byte(text)
    if first == DICT then
      local _, from, to = locate(text, name)
      return from and sub(text, from, to)
    elseif first == LIST then
      local index = index_of(name)
      return index and items_of(text)[index]
    end
  end

  -- Returns what is there, nil where there is nothing or no way there.
  local function look(from, last)
    local text = fields[ARGV[from]]
    for at = from + 1, last do
      if not text then return end
      text = child(text, ARGV[at])
    end
    return text or nil
  end

  local function impassable(text) refuse('on its way is ' .. kind(text) .. ', which has nothing inside') end
  local function misplaced(name) refuse('on its way is a list, and ' .. format('%q', name) .. ' no position in it') end

  -- Returns what is there, nil where it could be put; refuses where nothing can be.
  local function seek(from, last)
    local text = fields[ARGV[from]]
    for at = from + 1, last do
      if not text then return end
      local first = byte(text)
      if first == LIST then
        if not index_of(ARGV[at]) then misplaced(ARGV[at]) end
      elseif first ~= DICT then
        impassable(text)
      end
      text = child(text, ARGV[at])
    end
    return text or nil
  end

  -- Returns text with value at the rest of the path; nil is a dict that is missing.
  local function placed(text, at, last, value)
    if at > last then return value end
    local name = ARGV[at]
    text = text or '{}'
    local first = byte(text)
    if first == DICT then
      local _, from, to = locate(text, name)
      if from then
        return sub(text, 1, from - 1) .. placed(sub(text, from, to), at + 1, last, value) .. sub(text, to + 1)
      end
      local pair = '"' .. name .. '":' .. placed(nil, at + 1, last, value) .. '}'
      return text == '{}' and '{' .. pair or sub(text, 1, -2) .. ',' .. pair
    elseif first == LIST then
      local items, count = items_of(text)
      local index = index_of(name) or misplaced(name)
      if index - 1 - count > padding then refuse('it is more than ' .. padding .. ' past the end of the list') end
      for empty = count + 1, index - 1 do items[empty] = 'null' end
      items[index] = placed(items[index], at + 1, last, value)
      return list_of(items)
    end
    return impassable(text)
  end

  local function put(from, last, value)
    fields[ARGV[from]] = placed(fields[ARGV[from]] or nil, from + 1, last, value)
  end

  local function without(text, at, last)
    local name = ARGV[at]
    if byte(text) == LIST then
      local items = items_of(text)
      local index = index_of(name)
      items[index] = at == last and 'null' or without(items[index], at + 1, last)
      return list_of(items)
    end
    local start, from, to = locate(text, name)
    if at < last then
      return sub(text, 1, from - 1) .. without(sub(text, from, to), at + 1, last) .. sub(text, to + 1)
    end
    if byte(text, to + 1) == COMMA then return sub(text, 1, start - 1) .. sub(text, to + 2) end
    if start == 2 then return '{}' end
    return sub(text, 1, start - 2) .. sub(text, to + 1)
  end

  -- Removes what is there and returns it; an element of a list becomes None.
  local function remove(from, last)
    local old = look(from, last)
    if old then
      fields[ARGV[from]] = last > from and without(fields[ARGV[from]], from + 1, last) or false
    end
    return old
  end

  local function passes_list(from, last)
    for stop = from, last - 1 do
      local text = look(from, stop)
      if text and byte(text) == LIST then return true end
    end
  end

  local function height(text)
    local level, most = 0, 0
    for bracket in string.gmatch(text, '[%[%]{}]') do
      level = level + ((bracket == '[' or bracket == '{') and 1 or -1)
      if level > most then most = level end
    end
    return most
  end

  -- Numbers: doubles where they are exact, else limbs of seven digits, the lowest first.

  local function limbs_of(text)
    local limbs = {negative = byte(text) == 45}
    local digits = limbs.negative and sub(text, 2) or text
    for stop = #digits, 1, -7 do limbs[#limbs + 1] = tonumber(sub(digits, math.max(stop - 6, 1), stop)) end
    return limbs
  end

  local function text_of(limbs)
    local digits = ''
    for place = #limbs, 1, -1 do digits = digits .. format('%07d', limbs[place]) end
    digits = match(digits, '^0*(%d+)$')
    return limbs.negative and digits ~= '0' and '-' .. digits or digits
  end

  local function carry(limbs)
    local place, over = 1, 0
    while limbs[place] or over ~= 0 do
      local sum = (limbs[place] or 0) + over
      over = floor(sum / 10000000)
      if over == -1 and not limbs[place + 1] then return false end -- the sum is negative
      limbs[place] = sum - over * 10000000
      place = place + 1
    end
    return true
  end

  local function sum_of(a, b)
    local x, y = limbs_of(a), limbs_of(b)
    local sign = x.negative == y.negative and 1 or -1
    local sum, mirrored = {negative = x.negative}, {negative = not x.negative}
    for place = 1, math.max(#x, #y) do
      sum[place] = (x[place] or 0) + sign * (y[place] or 0)
      mirrored[place] = -sum[place]
    end
    if carry(sum) then return text_of(sum) end
    carry(mirrored)
    return text_of(mirrored)
  end

  local function product_of(a, b)
    local x, y = limbs_of(a), limbs_of(b)
    local product = {negative = x.negative ~= y.negative}
    for place = 1, #x + #y do product[place] = 0 end
    for i = 1, #x do
      for j = 1, #y do product[i + j - 1] = product[i + j - 1] + x[i] * y[j] end
    end
    carry(product)
    return text_of(product)
  end

  local function compare_ints(a, b)
    if a == b then return 0 end
    local negative = byte(a) == 45
    if negative ~= (byte(b) == 45) then return negative and -1 or 1 end
    local less
    if #a ~= #b then less = #a < #b else less = a < b end
    if negative then less = not less end
    return less and -1 or 1
  end

  local function compare_with_float(int, float)
    if #int <= 15 then
      local number = tonumber(int)
      return number < float and -1 or number > float and 1 or 0
    end
    if float >= 1e19 then return -1 elseif float <= -1e19 then return 1 end
    local whole = floor(float)
    local order = compare_ints(int, format('%.0f', whole + 0))
    return order == 0 and float > whole and -1 or order
  end

  local function compare(a, b)
    local x, y = is_int(a), is_int(b)
    if x and y then return compare_ints(a, b) end
    if x then return compare_with_float(a, tonumber(b)) end
    if y then return -compare_with_float(b, tonumber(a)) end
    x, y = tonumber(a), tonumber(b)
    return x < y and -1 or x > y and 1 or 0
  end

  -- Returns a float as the codec writes it: as few digits as say it, an exponent where it is far from the point.
  local function show(float)
    if float ~= float or float == math.huge or float == -math.huge then refuse('the result is not finite') end
    if float == 0 then return '0.0' end
    local text
    for digits = math.abs(float) < 1e-290 and 0 or 14, 16 do
      text = format('%.' .. digits .. 'e', float)
      if tonumber(text) == float then break end
    end
    local sign, lead, rest, power = match(text, '^(-?)(%d)%.?(%d*)e([+-]%d+)$')
    local digits, exponent = match(lead .. rest, '^(%d-)0*$'), tonumber(power)
    if exponent >= 16 or exponent < -5 then
      local tail = sub(digits, 2)
      return sign .. sub(digits, 1, 1) .. (tail == '' and '' or '.' .. tail) .. 'e' .. format('%d', exponent)
    elseif exponent < 0 then
      return sign .. '0.' .. string.rep('0', -exponent - 1) .. digits
    end
    digits = digits .. string.rep('0', exponent + 1 - #digits)
    local tail = sub(digits, exponent + 2)
    return sign .. sub(digits, 1, exponent + 1) .. '.' .. (tail == '' and '0' or tail)
  end

  local function calculated(old, by, exact, rounded)
    if not is_number(old) then refuse('it is ' .. kind(old) .. ', not int or float') end
    if not (is_int(old) and is_int(by)) then return show(rounded(tonumber(old), tonumber(by))) end
    local number = rounded(tonumber(old), tonumber(by))
    if #old <= 15 and #by <= 15 and math.abs(number) < 9007199254740992 then return format('%.0f', number + 0) end
    local result = exact(old, by)
    if compare_ints(result, '-9223372036854775808') < 0 or compare_ints(result, '9223372036854775807') > 0 then
      refuse('the result does not fit into 64 bits')
    end
    return result
  end

  local function add(a, b) return a + b end
  local function multiply(a, b) return a * b end

  local function ranked(old, value, wanted)
    if not old then return value end
    local order
    if byte(value) == QUOTE then
      if sub(old, 1, 3) ~= '"~d' then refuse('it is ' .. kind(old) .. ', not datetime') end
      order = value < old and -1 or value > old and 1 or 0
    else
      if not is_number(old) then refuse('it is ' .. kind(old) .. ', not int or float') end
      order = compare(value, old)
    end
    return order == wanted and value or nil
  end

  -- Equality: one text is one value, so texts differ where values do, but for numbers and the order of names.

  local function equal(a, b)
    if a == b then return true end
    local x, y = byte(a), byte(b)
    if x == QUOTE or y == QUOTE then
      local first, second = sub(a, 1, 3) == '"~n', sub(b, 1, 3) == '"~n'
      if first and (second or is_number(b)) or second and is_number(a) then again() end
      return false
    end
    if x ~= LIST and x ~= DICT or x ~= y then
      return is_number(a) and is_number(b) and compare(a, b) == 0
    end
    local ours, count = (x == LIST and items_of or pairs_of)(a)
    local theirs, other = (x == LIST and items_of or pairs_of)(b)
    if count ~= other then return false end
    for name, value in pairs(ours) do
      if not theirs[name] or not equal(value, theirs[name]) then return false end
    end
    return true
  end

  local function holds(items, wanted)
    for place = 1, #items do
      if equal(items[place], wanted) then return true end
    end
    return false
  end

  local function list(old)
    if byte(old) ~= LIST then refuse('it is ' .. kind(old) .. ', not list') end
    return items_of(old)
  end

  local function kept(old, keeps)
    local result = {}
    for _, item in ipairs(list(old)) do
      if keeps(item) then result[#result + 1] = item end
    end
    return list_of(result)
  end

  local function pushed(old, values, at, keep)
    local items, count = {}, 0
    if old then items, count = list(old) end
    local place = at == '' and count or tonumber(at)
    if place < 0 then place = math.max(count + place, 0) elseif place > count then place = count end
    local result = {}
    for index = 1, place do result[index] = items[index] end
    for _, value in ipairs(items_of(values)) do result[#result + 1] = value end
    for index = place + 1, count do result[#result + 1] = items[index] end
    if keep == '' or tonumber(keep) >= #result then return list_of(result) end
    local last = {}
    for index = #result - tonumber(keep) + 1, #result do last[#last + 1] = result[index] end
    return list_of(last)
  end

  local function added(old, values)
    local items = old and list(old) or {}
    for _, value in ipairs(items_of(values)) do
      if not holds(items, value) then insert(items, value) end
    end
    return list_of(items)
  end

  local function matches(item, where)
    if byte(item) ~= DICT then return false end
    local ours = pairs_of(item)
    for name, value in pairs(where) do
      if not ours[name] or not equal(ours[name], value) then return false end
    end
    return true
  end

  -- What an operator makes of the old text, nil where nothing is there; nil where nothing changes.
  -- Each has its arguments behind the path.
  local CHANGES = {
    set = function(_, at) return ARGV[at] end,
    set_default = function(old, at) return not old and ARGV[at] or nil end,
    inc = function(old, at) return old and calculated(old, ARGV[at], sum_of, add) or ARGV[at] end,
    mul = function(old, at)
      if not old then return is_int(ARGV[at]) and '0' or '0.0' end
      return calculated(old, ARGV[at], product_of, multiply)
    end,
    min = function(old, at) return ranked(old, ARGV[at], -1) end,
    max = function(old, at) return ranked(old, ARGV[at], 1) end,
    append = function(old, at) return pushed(old, ARGV[at], '', '') end,
    push = function(old, at) return pushed(old, ARGV[at], ARGV[at + 1], ARGV[at + 2]) end,
    add_to_set = function(old, at) return added(old, ARGV[at]) end,
    pull = function(old, at)
      return old and kept(old, function(item) return not equal(item, ARGV[at]) end)
    end,
    pull_all = function(old, at)
      local values = items_of(ARGV[at])
      return old and kept(old, function(item) return not holds(values, item) end)
    end,
    pull_where = function(old, at)
      local where = pairs_of(ARGV[at])
      return old and kept(old, function(item) return not matches(item, where) end)
    end,
    pop_first = function(old)
      if not old then return end
      local items = list(old)
      table.remove(items, 1)
      return list_of(items)
    end,
    pop_last = function(old)
      if not old then return end
      local items = list(old)
      table.remove(items)
      return list_of(items)
    end,
  }

  local function rename(from, last, to, stop)
    local value = seek(from, last)
    if not value then return end
    if passes_list(from, last) or passes_list(to, stop) then
      refuse('an element of a list cannot be renamed, nor anything inside one')
    end
    local level = stop - to + 1 + height(value)
    if level > depth then exceed('depth', depth, level) end
    put(to, stop, value)
    remove(from, last)
  end

  -- Says whether a guard holds; an empty text asks for nothing there.
  local function holds_at(from, last, wanted)
    local there = look(from, last)
    if not there or wanted == '' then return not there and wanted == '' end
    return equal(there, wanted)
  end

  local function change(verb, from, last)
    local new = CHANGES[verb](seek(from, last), last + 1)
    if new then put(from, last, new) end
  end

  local ARGUMENTS = {push = 3, pop_first = 0, pop_last = 0} -- behind the path; the others have one

  -- Carries out the guard or operator at `at` and moves on; returns true where a guard does not hold.
  local function step()
    local verb = ARGV[at]
    local from, last = at + 2, at + 1 + ARGV[at + 1]
    number = number + 1
    at = last + 2
    if verb == 'unset' or verb == 'take' then
      at = last + 1
      local old = remove(from, last)
      if verb == 'take' then taken = old or false end
    elseif verb == 'rename' then
      local to = last + 2
      local stop = to + ARGV[last + 1] - 1
      at = stop + 1
      rename(from, last, to, stop)
    elseif verb == 'when' then
      return not holds_at(from, last, ARGV[last + 1])
    elseif verb == 'replace' then
      replacement, at = from, names + 1
    else
      at = last + (ARGUMENTS[verb] or 1) + 1
      change(verb, from, last)
    end
  end

  -- Carries out all that is left; returns true where a guard does not hold.
  local function run()
    while at <= names do
      if step() then return true end
    end
  end

  local fine, problem = pcall(run)
  if not fine then
    if type(problem) ~= 'table' then return {CORRUPT} end -- Lua stumbled over what is no text of ours
    if problem[1] == AGAIN then return {call('HGETALL', key), AGAIN} end
    if problem[1] == CORRUPT then return {CORRUPT} end
    return {found[1], found[2], found[3], {number, unpack(problem, 2)}, false, 0, REFUSED}
  end
  if problem then code, replacement = UNMET, nil end
end
