-- Accept an invocation: its record and its message, in one step.
--
-- KEYS  1 record   2 queue   3 counts of the function
-- ARGV  1 message   2... field, value pairs of the record
-- returns 1, or 0 if an invocation with this id exists already (nothing is changed)

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'status', 'queued', 'attempt', 0,
  'accepted_at', string.format('%.0f', time[1] * 1000000 + time[2]), unpack(ARGV, 2))
redis.call('HINCRBY', KEYS[3], 'accepted', 1)
redis.call('HINCRBY', KEYS[3], 'queued', 1)
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
