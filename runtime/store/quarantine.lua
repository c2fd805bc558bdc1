-- Make a dead letter of a claimed message that is no invocation.
--
-- ARGV  1 worker   2 tag   3 id of the dead letter   4 function that it seems to be for
--       5 the function error   6 what of it can be shown, JSON text   7 seconds to keep it
--       8 seconds to remember the id after that   9 reason
-- returns 1, or 0 if the claim is not held

local message = redis.call('HGET', in_flight_of(ARGV[1]), ARGV[2])
if not message then
  return 0
end
local now = now_us()
local _, _, queue = parts_of(ARGV[2])
redis.call('HSET', record_of(ARGV[3]), 'function', ARGV[4], 'status', 'failed', 'trigger', 'celery',
  'payload', ARGV[6], 'attempt', 0, 'max_attempts', 0, 'accepted_at', whole(now),
  'finished_at', whole(now), 'error', ARGV[5])
count(ARGV[4], nil, 'failed')
note_seen(now, ARGV[7] + ARGV[8], ARGV[3])
bury(ARGV[3], ARGV[4], ARGV[9], queue, message, now, ARGV[7])
list(now, tonumber(ARGV[7]), ARGV[4], {ARGV[3]})
let_go(ARGV[1], ARGV[2])
announce(ARGV[3], 'failed')
return 1
