-- Note when a schedule is due next, unless somebody else has, after it was read.
--
-- KEYS  1 schedules
-- ARGV  1 function   2 definition that was read, or ''   3 due time that was read, or ''
--       4 definition   5 when it is due
-- returns 1, or 0 if somebody else has

local name = ARGV[1]
local found = redis.call('HMGET', KEYS[1], 'definition:' .. name, 'due:' .. name)
if (found[1] or '') ~= ARGV[2] or (found[2] or '') ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], 'definition:' .. name, ARGV[4], 'due:' .. name, ARGV[5])
return 1
