-- Count the workers that consume and whose lease holds.
--
-- returns how many

local now = broker_us()
local alive = 0
for _, worker in ipairs(redis.call('SMEMBERS', 'eyas:consuming')) do
  local until_us = redis.call('ZSCORE', 'eyas:leases', worker)
  if until_us and tonumber(until_us) > now then
    alive = alive + 1
  end
end
return alive
