-- List invocations, the latest first.
--
-- ARGV  1 most to list   2 most to look at   3, 4 hour and how many of it are left, to go on, or ''
--       5 function or ''   6 statuses, between blanks, or ''   7 not those accepted before, or 0
--       8 a part also ends when payloads and results have more bytes than this
-- returns {{id, field, value, ...}, ...}, and hour and how many of it are left if there may be more

local CHUNK = 200

local most, budget, room = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[8])
local since = tonumber(ARGV[7])
local listed = {}

local function consider(entry, hour)
  local id, name = string.match(entry, '^(%S+) (.*)$')
  -- What was not known when it was accepted may be known now.
  if ARGV[5] ~= '' and name ~= ARGV[5] and name ~= 'unknown' then
    return true
  end
  local record = record_of(id)
  local found = redis.call('HMGET', record, 'status', 'function', 'accepted_at')
  -- The id may be in use again, and listed where it was accepted last.
  if not found[1] or math.floor(found[3] / 3600000000) ~= tonumber(hour) then
    return true
  elseif tonumber(found[3]) < since then
    return false
  end
  if (ARGV[5] == '' or found[2] == ARGV[5])
    and (ARGV[6] == '' or string.find(ARGV[6], ' ' .. found[1] .. ' ', 1, true)) then
    local fields = redis.call('HGETALL', record)
    table.insert(fields, 1, id)
    listed[#listed + 1] = fields
    room = room - redis.call('HSTRLEN', record, 'payload') - redis.call('HSTRLEN', record, 'result')
  end
  return true
end

local first = ARGV[3]
local hours = redis.call('ZRANGE', 'eyas:hours', first == '' and '+inf' or first, '-inf',
  'BYSCORE', 'REV')
for _, hour in ipairs(hours) do
  if (tonumber(hour) + 1) * 3600000000 < since then
    break
  end
  local key = 'eyas:accepted:' .. hour
  local left = redis.call('LLEN', key)
  if hour == first then
    left = math.min(left, tonumber(ARGV[4]))
  end
  while left > 0 do
    local last = math.max(1, left - CHUNK + 1)
    for _, entry in ipairs(redis.call('LRANGE', key, -left, -last)) do
      if #listed == most or budget == 0 or room <= 0 then
        return {listed, hour, left}
      end
      if not consider(entry, hour) then
        return {listed}
      end
      left, budget = left - 1, budget - 1
    end
  end
end
return {listed}
