-- Find open invocations whose place only a look at the lists can tell, the oldest first.
--
-- One that is delayed, or runs under a claim that is held, is where it should be.
--
-- ARGV  1 how old they are at least, in microseconds   2 most to return   3 position to go on from
-- returns {position to go on from, or -1 at the end; id, status, attempt, ...}

local suspects, position = {}, tonumber(ARGV[3])
local old = whole(now_us() - ARGV[1])
for _ = 1, 10 do
  local ids = redis.call('ZRANGE', 'eyas:open', '-inf', old, 'BYSCORE', 'LIMIT', position, 500)
  for _, id in ipairs(ids) do
    if #suspects >= 3 * ARGV[2] then
      return {position, suspects}
    end
    position = position + 1
    local found = redis.call('HMGET', record_of(id), 'status', 'claim', 'attempt')
    local is_placed = redis.call('ZSCORE', 'eyas:delayed', id)
    if not is_placed and found[1] == 'running' then
      local worker, tag = string.match(found[2], '^(%S+) (.*)$')
      is_placed = redis.call('HEXISTS', in_flight_of(worker), tag) == 1
    end
    if not is_placed then
      suspects[#suspects + 1] = id
      suspects[#suspects + 1] = found[1] or ''
      suspects[#suspects + 1] = found[3] or 0
    end
  end
  if #ids < 500 then
    position = -1
    break
  end
end
return {position, suspects}
