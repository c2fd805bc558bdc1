-- Move the clock of invocations on, or let it go on at another speed. It is never set back.
--
-- ARGV  1 microseconds   2 how many times as fast as the broker's it goes, or '' as before
-- returns {the time now, microseconds ahead of the broker's clock, how many times as fast}

local real, time_now = broker_us(), now_us()
if ARGV[2] ~= '' then
  scale = ARGV[2]
end
local ahead_now = time_now + ARGV[1] - real
if ahead_now ~= 0 or scale ~= '1' then
  redis.call('SET', 'eyas:clock', whole(ahead_now) .. ' ' .. whole(real) .. ' ' .. scale)
end
return {whole(real + ahead_now), whole(ahead_now), scale}
