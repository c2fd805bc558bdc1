-- Count everything, at one instant.
--
-- returns {{function, {field, value, ...}}, ...} of the counts, and
--         {place, number, ...} of where invocations and messages are

local functions = {}
for _, name in ipairs(redis.call('SMEMBERS', 'eyas:functions')) do
  functions[#functions + 1] = {name, redis.call('HGETALL', counts_of(name))}
end
local in_flight, landing, running, parked = 0, 0, 0, 0
for _, worker in ipairs(redis.call('ZRANGE', 'eyas:leases', 0, -1)) do
  in_flight = in_flight + redis.call('HLEN', in_flight_of(worker))
  landing = landing + redis.call('LLEN', landing_of(worker))
  running = running + redis.call('HLEN', running_of(worker))
end
for _, name in ipairs(redis.call('SMEMBERS', 'eyas:parked')) do
  parked = parked + redis.call('LLEN', parked_of(name))
end
return {functions, {
  'open', redis.call('ZCARD', 'eyas:open'),
  'queue', redis.call('LLEN', 'celery'),
  'landing', landing,
  'in_flight', in_flight,
  'running', running,
  'parked', parked,
  'delayed', redis.call('ZCARD', 'eyas:delayed'),
  'dead_letters', redis.call('ZCARD', 'eyas:dead'),
}}
