-- Start an attempt of an invocation whose message this worker claimed.
--
-- KEYS  1 record (also the channel)
-- ARGV  1 worker   2 tag   3 id   4 attempts that may run at a time, 0 for any number
--       5 how many of its processes may die
-- returns {verdict, attempt, payload, since when it ages, started_at, failures, the invocation's own
--         policy or ''}; verdict is
--   run        the attempt has started
--   finished   the status is terminal, or the record is gone: the message was let go
--   duplicate  the invocation runs, or waits for its time, by another message: this one was let go
--   stale      the claim is not held any more
--   parked     all slots of the function are taken: the message waits for one
--   cancelled, expired, poison   it must not run, and must be finished so
--   barred     nor must it, as no attempt at all is reserved for its function

local claim = ARGV[1] .. ' ' .. ARGV[2]
local message = redis.call('HGET', in_flight_of(ARGV[1]), ARGV[2])
if not message then
  forget_stop(ARGV[1], ARGV[3])
  return {'stale', 0, '', 0, 0, 0, ''}
end
local found = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'payload', 'accepted_at', 'claim',
  'cancel_requested', 'expires_at', 'crashes', 'function', 'failures', 'parked',
  'policy', 'redriven_at')
local status, name = found[1], found[9]
local limit = name and limit_of(name, ARGV[4])
local function answer(verdict, started_at)
  return {verdict, tonumber(found[2] or 0), found[3] or '', tonumber(found[13] or found[4] or 0),
    started_at or 0, tonumber(found[10] or 0), found[12] or ''}
end
-- It takes no slot: if it was woken for one, or one is free, let the next come.
local function pass_on()
  if found[11] or limit and limit > redis.call('SCARD', slots_of(name)) then
    wake(name)
  end
end
if not status or TERMINAL[status] then
  let_go(ARGV[1], ARGV[2])
  if name then
    pass_on()
  end
  return answer('finished')
end
if status == 'running' then
  local worker, tag = string.match(found[5], '^(%S+) (.*)$')
  if found[5] == claim then
    -- Started before, and the answer did not arrive.
    return answer('run', tonumber(redis.call('HGET', KEYS[1], 'started_at')))
  elseif redis.call('HEXISTS', in_flight_of(worker), tag) == 1 then
    let_go(ARGV[1], ARGV[2])
    pass_on()
    return answer('duplicate')
  end
  -- What ran it is lost: it waits again, and this is its message.
  count(name, 'running', 'queued')
  redis.call('HSET', KEYS[1], 'status', 'queued')
  tell(ARGV[3], 'queued')
  status = 'queued'
  let_go(worker, tag)
end
local is_claimed_twice = false
if found[5] and found[5] ~= claim then
  -- Another message of it may be about to run.
  local worker, tag = string.match(found[5], '^(%S+) (.*)$')
  is_claimed_twice = redis.call('HEXISTS', in_flight_of(worker), tag) == 1
end
if is_claimed_twice or redis.call('ZSCORE', 'eyas:delayed', ARGV[3]) then
  let_go(ARGV[1], ARGV[2])
  pass_on()
  return answer('duplicate')
end
local now = now_us()
local forbidden = found[6] and 'cancelled'
  or found[7] and tonumber(found[7]) < now and 'expired'
  or tonumber(found[8] or 0) >= tonumber(ARGV[5]) and 'poison'
  or limit == 0 and 'barred'
if forbidden then
  pass_on()
  return answer(forbidden)
end
if ARGV[4] == '0' then
  redis.call('HDEL', 'eyas:concurrency', name)
else
  redis.call('HSET', 'eyas:concurrency', name, ARGV[4])
end
if not limit then
  if found[11] then
    -- The limit was lifted meanwhile: let the others come too.
    wake(name)
  end
else
  if redis.call('SCARD', slots_of(name)) >= limit then
    local _, _, queue = parts_of(ARGV[2])
    -- One that waited before is the next, not the last.
    redis.call(found[11] and 'RPUSH' or 'LPUSH', parked_of(name), queue .. '\n' .. message)
    if not found[11] then
      remember(ARGV[3], 'parked', now)
    end
    redis.call('HSET', KEYS[1], 'parked', 1)
    redis.call('SADD', 'eyas:parked', name)
    let_go(ARGV[1], ARGV[2])
    return answer('parked')
  end
  redis.call('SADD', slots_of(name), claim)
end
count(name, status, 'running')
found[2] = redis.call('HINCRBY', KEYS[1], 'attempt', 1)
redis.call('HSET', KEYS[1], 'status', 'running', 'started_at', whole(now), 'claim', claim)
redis.call('HDEL', KEYS[1], 'progress', 'parked', 'due_at')
redis.call('HSET', running_of(ARGV[1]), ARGV[2], ARGV[3])
tell(ARGV[3], 'running')
return answer('run', now)
