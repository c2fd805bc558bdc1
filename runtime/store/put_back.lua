-- Queue an invocation again whose message is nowhere, unless something has happened to it meanwhile.
--
-- KEYS  1 record (also the channel)   2 queue
-- ARGV  1 id   2 message   3 status and   4 attempt that it had when its message was missed
-- returns 1, or 0 if it is not lost

local found = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'claim', 'function', 'message',
  'due_at')
if not found[1] then
  -- The record was removed by hand; nothing is left to run.
  redis.call('ZREM', 'eyas:open', ARGV[1])
  return 0
elseif TERMINAL[found[1]] or found[1] ~= ARGV[3] or found[2] ~= ARGV[4]
  or redis.call('ZSCORE', 'eyas:delayed', ARGV[1]) then
  return 0
end
if found[1] == 'running' then
  local worker, tag = string.match(found[3], '^(%S+) (.*)$')
  if redis.call('HEXISTS', in_flight_of(worker), tag) == 1 then
    return 0
  end
  count(found[4], 'running', 'queued')
  redis.call('HSET', KEYS[1], 'status', 'queued')
  let_go(worker, tag)
  tell(ARGV[1], 'queued')
end
meter('recovered:' .. found[4], 1)
remember(ARGV[1], 'recovered', now_us())
if found[5] then
  redis.call('ZADD', 'eyas:delayed', found[6], ARGV[1])
else
  redis.call('RPUSH', KEYS[2], ARGV[2])
end
return 1
