-- Renew a worker's lease. While it holds, nobody else is given what the worker claimed.
--
-- ARGV  1 worker   2 seconds   3 main queue of its landing list   4 '1' if the worker consumes
-- returns {1 if the lease had lapsed before, else 0, ids of running invocations to stop...}

local now = broker_us()
local until_us = redis.call('ZSCORE', 'eyas:leases', ARGV[1])
redis.call('ZADD', 'eyas:leases', whole(now + ARGV[2] * 1000000), ARGV[1])
redis.call('SET', 'eyas:landing_queue:' .. ARGV[1], ARGV[3])
if ARGV[4] == '1' then
  redis.call('SADD', 'eyas:consuming', ARGV[1])
else
  redis.call('SREM', 'eyas:consuming', ARGV[1])
end
meter('renewals', 1)
local answer = redis.call('SMEMBERS', cancelling_of(ARGV[1]))
table.insert(answer, 1, until_us and tonumber(until_us) < now and 1 or 0)
return answer
