-- Read a record.
--
-- KEYS  1 record
-- ARGV  1 id   2 how many days ids are remembered at most
-- returns its field, value pairs; {} if it was never seen; {'gone'} if it has expired

local found = redis.call('HGETALL', KEYS[1])
if #found > 0 then
  return found
end
local today = math.floor(now_us() / 86400000000)
for day = today, today + ARGV[2] do
  if redis.call('SISMEMBER', 'eyas:seen:' .. whole(day), ARGV[1]) == 1 then
    return {'gone'}
  end
end
return {}
