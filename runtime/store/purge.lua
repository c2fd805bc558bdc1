-- Forget a dead letter: its record is gone.
--
-- KEYS  1 record
-- ARGV  1 id
-- returns 1, or 0 if it is no dead letter

local found = redis.call('HMGET', KEYS[1], 'dead_letter', 'function')
if not found[1] then
  return 0
end
redis.call('ZREM', 'eyas:dead', ARGV[1])
redis.call('ZREM', 'eyas:dead:' .. found[2], ARGV[1])
redis.call('DEL', KEYS[1])
return 1
