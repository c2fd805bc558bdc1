-- Bring the end of keys nearer that the broker keeps for a time.
--
-- KEYS  such keys
-- ARGV  1 seconds of the clock of invocations
-- returns how many have ended

local passed, ended = tonumber(kept_ms(ARGV[1])), 0
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= passed then
    ended = ended + redis.call('UNLINK', key)
  elseif left >= 0 then
    redis.call('PEXPIRE', key, left - passed)
  end
end
return ended
