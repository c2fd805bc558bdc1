-- Tell whether a call has to be refused, because all attempts run that are reserved for its function.
--
-- KEYS  1 the call's idempotency key, if it has one: what was accepted already is not refused
-- ARGV  1 function
-- returns 1, or 0

local reserved = tonumber(redis.call('HGET', 'eyas:reserved_concurrency', ARGV[1]) or '')
if not reserved or reserved > redis.call('SCARD', slots_of(ARGV[1]))
  or KEYS[1] and redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
return 1
