-- Finish an invocation: its record, Celery's result and the news of both, in one step.
--
-- KEYS  1 record (also the channel)   2 counts of the function   3 Celery's result (also a channel)
-- ARGV  1 attempt that ended, 0 for whichever is the latest   2 terminal status
--       3 seconds to keep record and result   4 Celery's result   5... field, value pairs
-- returns {1, attempt, accepted_at, started_at, finished_at, request_id}, or
--         {0} if the attempt is not the latest or the status is terminal already: nothing is changed

local found = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'accepted_at', 'started_at',
  'request_id')
local status = found[1]
if status == 'succeeded' or status == 'failed' or status == 'cancelled' or status == 'expired' then
  return {0}
end
if status and ARGV[1] ~= '0' and ARGV[1] ~= found[2] then
  return {0}
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
if status then
  redis.call('HINCRBY', KEYS[2], status, -1)
  redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
  redis.call('HSET', KEYS[1], 'status', ARGV[2], 'finished_at', now, unpack(ARGV, 5))
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[3])
redis.call('PUBLISH', KEYS[3], ARGV[4])
redis.call('PUBLISH', KEYS[1], ARGV[2])
return {1, tonumber(found[2] or 0), found[3] or '', found[4] or '', now, found[5] or ''}
