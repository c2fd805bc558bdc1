-- Put a claimed message off: out of the in-flight set, to be queued again at a time.
--
-- ARGV  1 worker   2 tag   3 id   4 when, in microseconds since the epoch
-- returns 1, or 0 if that time has come, or nothing is known of the id, or the claim is lost, or
--         another message of the invocation is delayed or runs

local message = redis.call('HGET', in_flight_of(ARGV[1]), ARGV[2])
local status = redis.call('HGET', record_of(ARGV[3]), 'status')
if not message or not status or TERMINAL[status] or tonumber(ARGV[4]) <= now_us()
  or status == 'running' or redis.call('ZSCORE', 'eyas:delayed', ARGV[3]) then
  return 0
end
local _, _, queue = parts_of(ARGV[2])
redis.call('HSET', record_of(ARGV[3]), 'message', with_deliveries(message, 0), 'queue', queue,
  'due_at', ARGV[4])
redis.call('ZADD', 'eyas:delayed', ARGV[4], ARGV[3])
let_go(ARGV[1], ARGV[2])
return 1
