-- Finish an invocation: its record, Celery's result, the news of both, and the message's
-- acknowledgement, in one step.
--
-- KEYS  1 record (also the channel)   2 Celery's result (also a channel)
-- ARGV  1 worker   2 tag   3 id   4 terminal status   5 Celery's result
--       6 reason of the dead letter, or ''   7 seconds to keep record and result
--       8 seconds to keep a dead letter   9 seconds to remember the id after either
--       10 token of this request   11, 12 a field, `result` or `error`, and its value
--       13 '1' to keep the claim until the message is acknowledged: others have to hear of it first
-- returns {1, attempt, accepted_at, started_at, finished_at, request_id}; so it does again if the
--         same request has finished it already. {0} if the claim is not held: nothing is changed

local found = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'accepted_at', 'started_at',
  'request_id', 'function', 'finished_by', 'finished_at')
local status, name = found[1], found[6]
local function answer(finished_at)
  return {1, tonumber(found[2] or 0), tonumber(found[3] or 0), tonumber(found[4] or 0), finished_at,
    found[5] or ''}
end
if found[7] == ARGV[10] then
  return answer(tonumber(found[8]))
end
local message = redis.call('HGET', in_flight_of(ARGV[1]), ARGV[2])
if not message then
  return {0}
end
if not status or TERMINAL[status] then
  let_go(ARGV[1], ARGV[2])
  return {0}
end
if status == 'running' and redis.call('HEXISTS', running_of(ARGV[1]), ARGV[2]) == 0 then
  return {0}
end
local now = now_us()
count(name, status, ARGV[4])
redis.call('HSET', KEYS[1], 'status', ARGV[4], 'finished_at', whole(now), 'finished_by', ARGV[10],
  ARGV[11], ARGV[12])
redis.call('HDEL', KEYS[1], ARGV[11] == 'result' and 'error' or 'result', 'message', 'queue',
  'due_at')
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('ZREM', 'eyas:open', ARGV[3])
-- By a second message, one may be finished that is delayed.
redis.call('ZREM', 'eyas:delayed', ARGV[3])
note_seen(ARGV[3], now, (ARGV[6] == '' and ARGV[7] or ARGV[8]) + ARGV[9])
if ARGV[6] ~= '' then
  local _, _, queue = parts_of(ARGV[2])
  bury(ARGV[3], name, ARGV[6], queue, message, now, ARGV[8])
end
let_go(ARGV[1], ARGV[2])
if ARGV[13] == '1' then
  redis.call('HSET', in_flight_of(ARGV[1]), ARGV[2], message)
end
redis.call('SET', KEYS[2], ARGV[5], 'EX', ARGV[7])
redis.call('PUBLISH', KEYS[2], ARGV[5])
redis.call('PUBLISH', KEYS[1], ARGV[4])
return answer(now)
