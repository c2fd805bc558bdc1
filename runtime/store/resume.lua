-- Let a schedule that is paused run again; the times that passed meanwhile are not missed.
--
-- KEYS  1 schedules
-- ARGV  1 function   2 definition   3 when it is due next
-- returns 1, or 0 if it is not paused

local name = ARGV[1]
if redis.call('HDEL', KEYS[1], 'paused:' .. name) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'definition:' .. name, ARGV[2], 'due:' .. name, ARGV[3])
return 1
