-- Note how far a running attempt is.
--
-- KEYS  1 record (also the channel)
-- ARGV  1 worker   2 tag   3 progress
-- returns 1, or 0 if this claim does not run the invocation

local found = redis.call('HMGET', KEYS[1], 'status', 'claim')
if found[1] ~= 'running' or found[2] ~= ARGV[1] .. ' ' .. ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'progress', ARGV[3])
redis.call('PUBLISH', KEYS[1], 'running')
return 1
