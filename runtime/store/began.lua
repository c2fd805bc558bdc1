-- Note that attempts run which were begun without a word, right after their messages were claimed.
--
-- ARGV  1 worker   2... tag, id, and microseconds since it began, of each
-- returns the tags of those that this worker does not hold any more

local now = now_us()
local lost = {}
for i = 2, #ARGV, 3 do
  local tag, id = ARGV[i], ARGV[i + 1]
  local claim = ARGV[1] .. ' ' .. tag
  local found = redis.call('HMGET', record_of(id), 'status', 'claim', 'function')
  if redis.call('HEXISTS', in_flight_of(ARGV[1]), tag) == 0 or found[2] ~= claim
    or TERMINAL[found[1]] then
    lost[#lost + 1] = tag
  elseif found[1] ~= 'running' then
    count(found[3], found[1], 'running')
    redis.call('HINCRBY', record_of(id), 'attempt', 1)
    redis.call('HSET', record_of(id), 'status', 'running', 'started_at',
      whole(now - ARGV[i + 2]))
    redis.call('HDEL', record_of(id), 'progress')
    redis.call('HSET', running_of(ARGV[1]), tag, id)
    tell(id, 'running')
  end
end
return lost
