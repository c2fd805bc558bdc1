-- List invocations, the latest first: by the lists of the hours in which they were accepted, and then
-- those that are older than these.
--
-- ARGV  1 most to list   2 most to look at   3, 4, 5 where to go on: hour, how many entries of its list
--         are left, and how many ids of the next one; or, among the older ones, '0', when it was
--         accepted and id; or '', '', ''
--       6 function or ''   7 statuses, between blanks, or ''   8 not those accepted before, or 0
--       9 a part also ends when payloads and results have more bytes than this
-- returns {{id, field, value, ...}, ...}, and where to go on in the same way if there may be more

local CHUNK = 200
local ENTRIES = 40
local HOUR = 3600000000

local most, budget, room = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[9])
local since = tonumber(ARGV[8])
local listed = {}

local function is_over()
  return #listed == most or budget == 0 or room <= 0
end

local function consider(id, time)
  budget = budget - 1
  local record = record_of(id)
  local found = redis.call('HMGET', record, 'status', 'function', 'accepted_at')
  -- The id may be in use again, and listed where it was accepted last.
  if not found[1] or tonumber(found[3]) ~= time then
    return
  end
  if (ARGV[6] == '' or found[2] == ARGV[6])
    and (ARGV[7] == '' or string.find(ARGV[7], ' ' .. found[1] .. ' ', 1, true)) then
    local fields = redis.call('HGETALL', record)
    table.insert(fields, 1, id)
    listed[#listed + 1] = fields
    room = room - redis.call('HSTRLEN', record, 'payload') - redis.call('HSTRLEN', record, 'result')
  end
end

-- Go through a sorted set from a time on backwards, or from an id with this time: each call gives the
-- time and the id of the next one.
local function backwards(key, from, from_id)
  local found, at, offset = {}, 1, 0
  return function()
    repeat
      if at > #found then
        found = redis.call('ZRANGE', key, whole(from), '-inf', 'BYSCORE', 'REV', 'LIMIT', offset, CHUNK,
          'WITHSCORES')
        at, offset = 1, offset + CHUNK
      end
      local id, time = found[at], tonumber(found[at + 1] or -1)
      at = at + 2
      if not id or not from_id or time < from or id <= from_id then
        return time, id
      end
    until false
  end
end

-- List those of which the hour's list is gone: that are open, or are kept after an end.
local function list_older(from, from_id)
  local next_open = backwards('eyas:open', from, from_id)
  local next_ended = backwards('eyas:outliving', from, from_id)
  local open_time, open_id = next_open()
  local ended_time, ended_id = next_ended()
  while open_id or ended_id do
    local is_open = open_time > ended_time
      or open_time == ended_time and open_id > ended_id
    local time, id = ended_time, ended_id
    if is_open then
      time, id = open_time, open_id
    end
    if time < since then
      return {listed}
    elseif redis.call('EXISTS', 'eyas:accepted:' .. hour_of(time)) == 1 then
      return list_older(hour_of(time) * HOUR - 1)
    elseif is_over() then
      return {listed, '0', whole(time), id}
    end
    consider(id, time)
    if open_id == id and open_time == time then
      open_time, open_id = next_open()
    end
    if ended_id == id and ended_time == time then
      ended_time, ended_id = next_ended()
    end
  end
  return {listed}
end

local first = ARGV[3]
if first == '0' then
  return list_older(tonumber(ARGV[4]), ARGV[5])
end
local hours = redis.call('ZRANGE', 'eyas:hours', first == '' and '+inf' or first, '-inf',
  'BYSCORE', 'REV')
for _, hour in ipairs(hours) do
  if (tonumber(hour) + 1) * HOUR < since then
    return {listed}
  end
  local key = 'eyas:accepted:' .. hour
  local left, ids_left = redis.call('LLEN', key), math.huge
  if hour == first then
    left, ids_left = math.min(left, tonumber(ARGV[4])), tonumber(ARGV[5]) or math.huge
  end
  while left > 0 do
    local last = math.max(1, left - ENTRIES + 1)
    for _, entry in ipairs(redis.call('LRANGE', key, -left, -last)) do
      if is_over() then
        return {listed, hour, left, ''}
      end
      -- Earlier versions have listed them in another way.
      local offset, listed_ids, name = string.match(entry, '^(%d+) ([^\n]+)\n(.*)$')
      local time, ids = offset and hour * HOUR + offset, {}
      if not time then
        budget = budget - 1
      elseif time < since then
        return {listed}
      end
      for id in string.gmatch(listed_ids or '', '%S+') do
        ids[#ids + 1] = id
      end
      for i = math.min(#ids, ids_left), 1, -1 do
        if is_over() then
          return {listed, hour, left, tostring(i)}
        end
        -- What was not known when it was accepted may be known now.
        if ARGV[6] == '' or name == ARGV[6] or name == 'unknown' then
          consider(ids[i], time)
        else
          budget = budget - 1
        end
      end
      left, ids_left = left - 1, math.huge
    end
  end
end
return list_older(now_us())
