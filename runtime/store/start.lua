-- Start an attempt. A message from a stock Celery producer gets its record here.
--
-- KEYS  1 record (also the channel)   2 counts of the function
-- ARGV  1 worker   2... field, value pairs of the record, if there is none yet
-- returns {status before, attempt now, payload, accepted_at, started_at};
--         a terminal status before means: do not run it, nothing was changed

local found = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'payload', 'accepted_at')
local status = found[1]
if status == 'succeeded' or status == 'failed' or status == 'cancelled' or status == 'expired' then
  return {status, tonumber(found[2]), '', '', ''}
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
if not status then
  redis.call('HSET', KEYS[1], 'attempt', 0, 'accepted_at', now, unpack(ARGV, 2))
  redis.call('HINCRBY', KEYS[2], 'accepted', 1)
  found = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'payload', 'accepted_at')
else
  redis.call('HINCRBY', KEYS[2], status, -1)
end
redis.call('HINCRBY', KEYS[2], 'running', 1)
local attempt = redis.call('HINCRBY', KEYS[1], 'attempt', 1)
redis.call('HSET', KEYS[1], 'status', 'running', 'started_at', now, 'worker', ARGV[1])
redis.call('PUBLISH', KEYS[1], 'running')
return {status or '', attempt, found[3], found[4], now}
