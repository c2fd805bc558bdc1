-- Read what is measured.
--
-- returns {field, value, ...} of the metrics, the upper limits of the histograms' buckets in
--         microseconds, {function, dead letters, ...}, how many workers consume, and for how many
--         microseconds the next message of the main queue has waited since its invocation was accepted

local dead_letters = {}
for _, name in ipairs(redis.call('SMEMBERS', 'eyas:functions')) do
  dead_letters[#dead_letters + 1] = name
  dead_letters[#dead_letters + 1] = redis.call('ZCARD', 'eyas:dead:' .. name)
end
local oldest_us = 0
local message = redis.call('LINDEX', 'celery', -1)
if message then
  local _, id = ours(message)
  id = id or id_in(message)
  local accepted_at = id and redis.call('HGET', record_of(id), 'accepted_at')
  if accepted_at then
    oldest_us = math.max(0, now_us() - accepted_at)
  end
end
return {redis.call('HGETALL', METRICS), BUCKETS_US, dead_letters, count_consuming(), oldest_us}
