-- Give back what workers hold whose leases have lapsed.
--
-- A lease only runs out while somebody watches: after a time without a sweep (broker or schedulers
-- were away or hung, or the clock jumped) all leases are prolonged, because no worker could renew its
-- own. They age by the longest allowed time nevertheless, or rare sweeps would never end one. A clock
-- set back must not make leases longer than they can be.
--
-- ARGV  1 longest time between sweeps that is no gap, in microseconds   2 lease in microseconds
-- returns {worker, messages given back, microseconds since its lease lapsed, ...}

local now = broker_us()
local before = tonumber(redis.call('GET', 'eyas:swept_at') or now)
redis.call('SET', 'eyas:swept_at', whole(now))
local gap = now - before
local prolong = gap < 0 and gap or math.max(0, gap - ARGV[1])
local leases = redis.call('ZRANGE', 'eyas:leases', 0, -1, 'WITHSCORES')
local lapsed = {}
for i = 1, #leases, 2 do
  local worker, until_us = leases[i], tonumber(leases[i + 1]) + prolong
  until_us = math.min(until_us, now + ARGV[2])
  if until_us ~= tonumber(leases[i + 1]) then
    redis.call('ZADD', 'eyas:leases', whole(until_us), worker)
  end
  if until_us < now then
    local given = give_back_all(worker, true, false)
    if given > 0 then
      meter('lapsed', 1)
      meter('given_back', given)
      lapsed[#lapsed + 1] = worker
      lapsed[#lapsed + 1] = given
      lapsed[#lapsed + 1] = now - until_us
    elseif now - until_us > 60000000 then
      -- Until now it might have been only slow, and have claimed one more.
      forget(worker)
    end
  end
end
-- Whoever frees a slot wakes the next; this is for a woken one that never came to start.
for _, name in ipairs(redis.call('SMEMBERS', 'eyas:parked')) do
  -- Where no attempt may run, they come to be given up.
  local limit = math.max(1, limit_of(name, redis.call('HGET', 'eyas:concurrency', name)) or 1)
  for _, claim in ipairs(redis.call('SMEMBERS', slots_of(name))) do
    local worker, tag = string.match(claim, '^(%S+) (.*)$')
    if redis.call('HEXISTS', running_of(worker), tag) == 0 then
      -- Its record was removed by hand while it ran.
      redis.call('SREM', slots_of(name), claim)
    end
  end
  if redis.call('SCARD', slots_of(name)) < limit then
    wake(name)
  end
end
-- The records of dead letters expire by themselves; the oldest do first.
for _ = 1, 100 do
  local id = redis.call('ZRANGE', 'eyas:dead', 0, 0)[1]
  if not id or redis.call('HEXISTS', record_of(id), 'dead_letter') == 1 then
    break
  end
  redis.call('ZREM', 'eyas:dead', id)
  for _, name in ipairs(redis.call('SMEMBERS', 'eyas:functions')) do
    redis.call('ZREM', 'eyas:dead:' .. name, id)
  end
end
return lapsed
