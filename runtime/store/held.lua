-- Read every message that is neither queued nor delayed: in flight, landing, or parked.
--
-- returns the messages

local held = {}
local function add(messages)
  for _, message in ipairs(messages) do
    held[#held + 1] = message
  end
end
for _, worker in ipairs(redis.call('ZRANGE', 'eyas:leases', 0, -1)) do
  add(redis.call('HVALS', in_flight_of(worker)))
  add(redis.call('LRANGE', landing_of(worker), 0, -1))
end
for _, name in ipairs(redis.call('SMEMBERS', 'eyas:parked')) do
  add(redis.call('LRANGE', parked_of(name), 0, -1))
end
return held
