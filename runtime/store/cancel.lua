-- Cancel an invocation: one that waits never runs, one that runs is stopped by its worker.
--
-- KEYS  1 record (also the channel)   2 Celery's result (also a channel)
-- ARGV  1 id   2 the function error   3 Celery's result   4 seconds to keep record and result
--       5 seconds to remember the id after that   6 seconds to remember the id of no invocation, for
--         a message that is still in the queue without a record; 0 for not at all
--       7 '0' to let one go on that runs
--       8 message of what tells of the end   9 its retries   10 seconds until it is too old
-- returns 'cancelled', 'stopping', 'running' or 'finished' (nothing is changed), or 'unknown'

local found = redis.call('HMGET', KEYS[1], 'status', 'function', 'claim', 'callback',
  'cancel_requested', 'accepted_at')
local status, name = found[1], found[2]
if not status then
  if ARGV[6] ~= '0' then
    redis.call('SET', 'eyas:revoked:' .. ARGV[1], 1, 'PX', kept_ms(ARGV[6]))
  end
  return 'unknown'
elseif TERMINAL[status] then
  return 'finished'
end
local worker, tag = string.match(found[3] or '', '^(%S+) (.*)$')
local is_held = worker and redis.call('HEXISTS', in_flight_of(worker), tag) == 1
if status == 'running' or is_held then
  -- Heard of if it is to be run again, in any case.
  redis.call('HSET', KEYS[1], 'cancel_requested', 1)
  if status == 'running' and ARGV[7] == '0' then
    return 'running'
  end
  if not found[5] then
    remember(ARGV[1], 'cancelling', now_us())
  end
  if is_held then
    redis.call('SADD', cancelling_of(worker), ARGV[1])
  end
  return 'stopping'
end
local now = now_us()
count(name, status, 'cancelled')
local delayed = redis.call('HMGET', KEYS[1], 'trigger', 'queue', 'message')
if delayed[1] == 'celery' and delayed[3] then
  -- A chord may have to hear of it: a worker tells it when it meets the message.
  redis.call('LPUSH', delayed[2], delayed[3])
end
redis.call('HSET', KEYS[1], 'status', 'cancelled', 'finished_at', whole(now), 'error', ARGV[2])
redis.call('HDEL', KEYS[1], 'message', 'queue', 'due_at')
redis.call('PEXPIRE', KEYS[1], kept_ms(ARGV[4]))
redis.call('ZREM', 'eyas:open', ARGV[1])
redis.call('ZREM', 'eyas:delayed', ARGV[1])
if hour_of(found[6] or 0) ~= hour_of(now) then
  outlive({found[6] or 0, ARGV[1]})
end
note_seen(now, ARGV[4] + ARGV[5], ARGV[1])
redis.call('SET', KEYS[2], ARGV[3], 'PX', kept_ms(ARGV[4]))
redis.call('PUBLISH', KEYS[2], ARGV[3])
tell(ARGV[1], 'cancelled')
if found[4] then
  -- The message, and so its trace, is somewhere in the queue.
  tell_of_end(ARGV[1], now, found[4], nil, '', ARGV[4], ARGV[8], ARGV[9], ARGV[10])
end
return 'cancelled'
