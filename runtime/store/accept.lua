-- Accept an invocation: its record, its message, and its caller's idempotency key, in one step.
--
-- KEYS  1 record   2 queue
-- ARGV  1 id   2 function   3 message, or '' to make only the record, of a message already claimed
--       4 delay in microseconds   5 how many invocations may wait or run at a time, 0 for any number
--       6 key of the idempotency key, or ''   7 seconds to keep that   8 digest of the payload
--       9 seconds until it is too old to run, 0 for never   10... field, value pairs of the record
-- returns {'accepted'}, {'known'} if the id is taken, {'full'},
--         {'replayed', id} or {'conflict', id} for a key that was used with this or another payload

-- A message that came before its function was redriven: now it is known what it is for.
local function name_function()
  local found = redis.call('HMGET', KEYS[1], 'function', 'status', 'trigger', 'attempt')
  if found[1] ~= 'unknown' or found[2] ~= 'queued' or found[3] ~= 'celery' then
    return
  end
  redis.call('HINCRBY', counts_of('unknown'), 'accepted', -1)
  redis.call('HINCRBY', counts_of('unknown'), 'queued', -1)
  count(ARGV[2], nil, 'queued')
  redis.call('HSET', KEYS[1], 'function', ARGV[2], unpack(ARGV, 10))
  redis.call('HINCRBY', KEYS[1], 'max_attempts', found[4])
  if ARGV[9] ~= '0' then
    redis.call('HSET', KEYS[1], 'expires_at', whole(now_us() + ARGV[9] * 1000000))
  end
end

if ARGV[6] ~= '' then
  local used = redis.call('GET', ARGV[6])
  if used then
    local digest, id = string.match(used, '^(%S+) (.*)$')
    return {digest == ARGV[8] and 'replayed' or 'conflict', id}
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  if ARGV[3] == '' and ARGV[2] ~= 'unknown' then
    name_function()
  end
  return {'known'}
end
local most = tonumber(ARGV[5])
if most > 0 and redis.call('ZCARD', 'eyas:open') >= most then
  return {'full'}
end
local now = now_us()
redis.call('HSET', KEYS[1], 'function', ARGV[2], 'status', 'queued', 'attempt', 0,
  'accepted_at', whole(now), unpack(ARGV, 10))
if ARGV[9] ~= '0' then
  redis.call('HSET', KEYS[1], 'expires_at', whole(now + ARGV[9] * 1000000))
end
count(ARGV[2], nil, 'queued')
redis.call('ZADD', 'eyas:open', whole(now), ARGV[1])
if ARGV[6] ~= '' then
  redis.call('SET', ARGV[6], ARGV[8] .. ' ' .. ARGV[1], 'EX', ARGV[7])
end
if ARGV[3] == '' then
  if redis.call('DEL', 'eyas:revoked:' .. ARGV[1]) == 1 then
    redis.call('HSET', KEYS[1], 'cancel_requested', 1)
  end
elseif ARGV[4] == '0' then
  redis.call('LPUSH', KEYS[2], ARGV[3])
else
  local due = whole(now + ARGV[4])
  redis.call('HSET', KEYS[1], 'message', ARGV[3], 'queue', KEYS[2], 'due_at', due)
  redis.call('ZADD', 'eyas:delayed', due, ARGV[1])
end
return {'accepted'}
