-- End an attempt with a function error after which the invocation is run again.
--
-- KEYS  1 record (also the channel)   2 Celery's result (also a channel)
-- ARGV  1 worker   2 tag   3 id   4 microseconds to wait   5 the function error
--       6 Celery's result, of a task that is retried   7 seconds to keep that
--       8 token of this request   9 the function error without its stack trace
-- returns {1, attempt, accepted_at, started_at, ended_at, request_id}, or {0} if this claim does not
--         run the invocation, or {2} if it is to be cancelled instead: nothing is changed

local message = redis.call('HGET', in_flight_of(ARGV[1]), ARGV[2])
local found = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'accepted_at', 'started_at',
  'request_id', 'function', 'claim', 'retried_at',
  'retried_by', 'cancel_requested')
local function answer(now)
  return {1, tonumber(found[2]), tonumber(found[3]), tonumber(found[4]), now, found[5] or ''}
end
if not message and found[9] ~= ARGV[8] then
  forget_stop(ARGV[1], ARGV[3])
  return {0}
elseif found[7] ~= ARGV[1] .. ' ' .. ARGV[2] then
  return {0}
elseif not message then
  return answer(tonumber(found[8]))
elseif found[1] ~= 'running' then
  return {0}
end
if found[10] then
  return {2}
end
local now = now_us()
local due = whole(now + ARGV[4])
local _, _, queue = parts_of(ARGV[2])
count(found[6], 'running', 'retrying')
meter('retried:' .. found[6], 1)
observe('run', found[6], now - tonumber(found[4]))
if tonumber(found[2]) == 1 then
  observe('wait', found[6], tonumber(found[4]) - tonumber(found[3]))
end
remember(ARGV[3], 'failed', now, attempt_of(found[2], ARGV[1], found[4]) .. ',"due_at":' .. due
  .. ',"error":' .. ARGV[9])
redis.call('HINCRBY', KEYS[1], 'failures', 1)
redis.call('HSET', KEYS[1], 'status', 'retrying', 'error', ARGV[5], 'due_at', due,
  'retried_at', whole(now), 'retried_by', ARGV[8],
  'message', with_deliveries(message, 0), 'queue', queue)
redis.call('ZADD', 'eyas:delayed', due, ARGV[3])
let_go(ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[6], 'PX', kept_ms(ARGV[7]))
redis.call('PUBLISH', KEYS[2], ARGV[6])
tell(ARGV[3], 'retrying')
return answer(now)
