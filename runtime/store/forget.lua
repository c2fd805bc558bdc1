-- Forget what is known of invocations that were forgotten by a reset, and not of those that were
-- accepted since.
--
-- KEYS  records, and other keys of invocations and attempts
-- returns how many there were

local removed = 0
for _, key in ipairs(KEYS) do
  local id = string.match(key, '^eyas:invocation:(.*)$') or string.match(key, '^eyas:chunks:(.*)$')
  if string.find(key, '^eyas:idempotency:') then
    id = string.match(redis.call('GET', key) or '', '^%S+ (.*)$')
  end
  local is_newer = id
    and (redis.call('ZSCORE', 'eyas:open', id) or redis.call('ZSCORE', 'eyas:dead', id))
  -- Lists of what was accepted went with the reset; this one is of what was accepted since.
  if not is_newer and not string.find(key, '^eyas:accepted:') then
    removed = removed + redis.call('UNLINK', key)
    if id then
      -- No status: who waits has to look for the record.
      redis.call('PUBLISH', record_of(id), 'forgotten')
    end
  end
end
return removed
