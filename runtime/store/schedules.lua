-- Read what is known of all schedules.
--
-- KEYS  1 schedules
-- returns {the time now, how many times as fast as the broker's its clock goes,
--         {field, value, ...} of the schedules}

return {whole(now_us()), scale, redis.call('HGETALL', KEYS[1])}
