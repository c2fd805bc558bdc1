-- Reserve a number of attempts for a function, which is also how many may run at a time, or reserve
-- none any more; and queue what may run now.
--
-- ARGV  1 function   2 how many, or '' for none any more
-- returns nothing

local name = ARGV[1]
if ARGV[2] == '' then
  redis.call('HDEL', 'eyas:reserved_concurrency', name)
else
  redis.call('HSET', 'eyas:reserved_concurrency', name, ARGV[2])
end
local limit = limit_of(name, redis.call('HGET', 'eyas:concurrency', name))
-- Where there is no limit, or none may run, each one wakes the next.
local room = (not limit or limit == 0) and 1 or limit - redis.call('SCARD', slots_of(name))
if room > 0 then
  wake(name, room)
end
