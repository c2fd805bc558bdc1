-- Move the clock of invocations on, or let it go on at another speed. It is never set back.
--
-- ARGV  1 microseconds   2 how many times as fast as the broker's it goes, or '' as before
--       3 how many microseconds it may be moved ahead of the broker's clock in all, or '' for any
-- returns {the time now, microseconds ahead of the broker's clock, how many times as fast}, or
--         false: too far, and nothing was changed

local real, time_now = broker_us(), now_us()
if ARGV[2] ~= '' then
  scale = ARGV[2]
end
local ahead_now = time_now + ARGV[1] - real
if ARGV[3] ~= '' and ahead_now > tonumber(ARGV[3]) then
  return false
end
if ahead_now ~= 0 or scale ~= '1' then
  redis.call('SET', 'eyas:clock', whole(ahead_now) .. ' ' .. whole(real) .. ' ' .. scale)
end
return {whole(real + ahead_now), whole(ahead_now), scale}
