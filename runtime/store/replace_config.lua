-- Change what was said of a function, unless somebody else has changed it meanwhile.
--
-- KEYS  1 what was said, of each function
-- ARGV  1 function   2 what was read   3 what to put in its place
-- returns 1, or 0 if something else is there, or nothing

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
