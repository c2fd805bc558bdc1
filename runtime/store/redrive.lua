-- Run a dead letter again: new deliveries of the same invocation.
--
-- KEYS  1 record (also the channel)   2 Celery's result
-- ARGV  1 id   2 seconds until it is too old to run, 0 for never
-- returns 1, or 0 if it is no dead letter
--
-- A message that was no invocation is only queued again: what becomes of it, becomes of it under an
-- id of its own, be that as a new dead letter. This one stays failed.

local found = redis.call('HMGET', KEYS[1], 'dead_letter', 'function', 'status', 'queue', 'message',
  'attempt', 'max_attempts', 'claim', 'started_at', 'finished_at', 'error')
if not found[1] then
  return 0
end
local now = now_us()
local name = found[2]
-- How it ended; of the record it goes into the history.
local attempt = ''
if tonumber(found[6]) > 0 then
  attempt = attempt_of(found[6], found[8] and string.match(found[8], '^(%S+) '), found[9])
end
local the_end = attempt .. ',"error":' .. brief(found[11]) .. ',"reason":'
  .. cjson.encode(found[1])
redis.call('ZREM', 'eyas:dead', ARGV[1])
redis.call('ZREM', 'eyas:dead:' .. name, ARGV[1])
-- Nor can it be too late for its producer any more.
local message = string.gsub(found[5], '"expires"%s*:%s*"[^"]*"', '"expires": null', 1)
redis.call('LPUSH', found[4], message)
if tonumber(found[7]) == 0 then
  redis.call('HDEL', KEYS[1], 'dead_letter', 'queue', 'message')
  return 1
end
count(name, found[3], 'queued')
remember(ARGV[1], 'given_up', found[10], the_end)
remember(ARGV[1], 'redriven', now)
-- The policy's attempts and its time begin anew, after those that were made.
local retries = tonumber(redis.call('HGET', KEYS[1], 'retries') or 0)
redis.call('HSET', KEYS[1], 'status', 'queued', 'max_attempts', found[6] + 1 + retries,
  'redriven_at', whole(now))
redis.call('HDEL', KEYS[1], 'dead_letter', 'queue', 'message', 'error', 'finished_at', 'finished_by',
  'failures', 'crashes', 'expires_at', 'cancel_requested', 'claim', 'parked', 'progress')
if ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[1], 'expires_at', whole(now + ARGV[2] * 1000000))
end
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', 'eyas:open', whole(now), ARGV[1])
redis.call('DEL', KEYS[2])
tell(ARGV[1], 'queued')
return 1
