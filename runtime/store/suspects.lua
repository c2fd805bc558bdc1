-- Find open invocations whose place only a look at the lists can tell, the oldest first.
--
-- One that is delayed, or runs under a claim that is held, is where it should be.
--
-- ARGV  1 how old they are at least, in microseconds   2 most to return, but all of one instant
--       3 instant to go on after, or ''
-- returns {instant to go on after, or '' at the end; id, status, attempt, ...}

local suspects, position, looked, offset = {}, ARGV[3], 0, 0
local from = position == '' and '-inf' or '(' .. position
local old = whole(now_us() - ARGV[1])
while true do
  local found = redis.call('ZRANGE', 'eyas:open', from, old, 'BYSCORE', 'LIMIT', offset, 500,
    'WITHSCORES')
  for i = 1, #found, 2 do
    local id, time = found[i], whole(tonumber(found[i + 1]))
    if time ~= position and (#suspects >= 3 * ARGV[2] or looked >= 5000) then
      return {position, suspects}
    end
    position = time
    looked = looked + 1
    local record = redis.call('HMGET', record_of(id), 'status', 'claim', 'attempt')
    local is_placed = redis.call('ZSCORE', 'eyas:delayed', id)
    if not is_placed and record[1] == 'running' then
      local worker, tag = string.match(record[2], '^(%S+) (.*)$')
      is_placed = redis.call('HEXISTS', in_flight_of(worker), tag) == 1
    end
    if not is_placed then
      suspects[#suspects + 1] = id
      suspects[#suspects + 1] = record[1] or ''
      suspects[#suspects + 1] = record[3] or 0
    end
  end
  if #found < 1000 then
    return {'', suspects}
  end
  offset = offset + 500
end
