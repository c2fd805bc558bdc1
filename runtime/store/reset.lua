-- Forget all work: what waits, what is delayed, and what workers hold, which they hear of as cancelled;
-- and what was said of functions.
--
-- The rest of what was known of invocations is still there; only nothing refers to it any more.
--
-- returns how many invocations were open

local open = redis.call('ZCARD', 'eyas:open')
for _, worker in ipairs(redis.call('ZRANGE', 'eyas:leases', 0, -1)) do
  for _, message in ipairs(redis.call('HVALS', in_flight_of(worker))) do
    local _, id = ours(message)
    id = id or id_in(message)
    if id then
      redis.call('SADD', cancelling_of(worker), id)
    end
  end
  redis.call('UNLINK', in_flight_of(worker), running_of(worker), landing_of(worker))
end
for _, name in ipairs(redis.call('SMEMBERS', 'eyas:functions')) do
  redis.call('UNLINK', counts_of(name), slots_of(name), parked_of(name), 'eyas:dead:' .. name)
end
for _, name in ipairs(redis.call('SMEMBERS', 'eyas:parked')) do
  redis.call('UNLINK', slots_of(name), parked_of(name))
end
for _, hour in ipairs(redis.call('ZRANGE', 'eyas:hours', 0, -1)) do
  redis.call('UNLINK', 'eyas:accepted:' .. hour)
end
redis.call('UNLINK', 'eyas:open', 'eyas:hours', 'eyas:outliving', 'eyas:functions', 'eyas:parked', 'eyas:delayed', 'eyas:dead',
  'eyas:schedules', 'eyas:event_invoke_configs', 'eyas:reserved_concurrency', METRICS,
  'celery', 'celery\6\0223', 'celery\6\0226', 'celery\6\0229')
if scale == '1' then
  redis.call('DEL', 'eyas:clock')
else
  redis.call('SET', 'eyas:clock', '0 ' .. whole(broker_us()) .. ' ' .. scale)
end
return open
