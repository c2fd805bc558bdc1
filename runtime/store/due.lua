-- Queue delayed invocations whose time has come.
--
-- ARGV  1 most invocations to move
-- returns {how many were moved, microseconds until the next one is due or -1 if there is none}

local now = now_us()
local due = redis.call('ZRANGE', 'eyas:delayed', '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  local found = redis.call('HMGET', record_of(id), 'queue', 'message')
  if found[2] then
    redis.call('LPUSH', found[1], found[2])
    redis.call('HDEL', record_of(id), 'queue', 'message', 'due_at')
  end
  redis.call('ZREM', 'eyas:delayed', id)
end
local next_due = redis.call('ZRANGE', 'eyas:delayed', 0, 0, 'WITHSCORES')[2]
return {#due, next_due and math.max(0, next_due - now) or -1}
