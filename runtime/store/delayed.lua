-- Read which invocations are delayed, the next one first.
--
-- ARGV  1 most to return
-- returns {id, function, due_at, ...}

local listed = {}
local found = redis.call('ZRANGE', 'eyas:delayed', 0, ARGV[1] - 1, 'WITHSCORES')
for i = 1, #found, 2 do
  listed[#listed + 1] = found[i]
  listed[#listed + 1] = redis.call('HGET', record_of(found[i]), 'function') or ''
  listed[#listed + 1] = whole(tonumber(found[i + 1]))
end
return listed
