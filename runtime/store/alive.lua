-- Give or count signs of life of workers, by the broker's clock.
--
-- KEYS  1 workers
-- ARGV  1 worker that gives a sign, or ''   2 seconds until it lapses; 0 takes it back
-- returns the number of workers alive

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ARGV[1] ~= '' then
  if ARGV[2] == '0' then
    redis.call('ZREM', KEYS[1], ARGV[1])
  else
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  end
end
return redis.call('ZCARD', KEYS[1])
