-- Read what the present attempt of an invocation has yielded.
--
-- KEYS  1 record   2 chunks
-- ARGV  1 how many parts are known already   2 most bytes to return, though at least one part
-- returns {status, attempt, 1 if there are more parts or 0, part, part, ...}; '' if there is no record,
--         and no part of an attempt that is over, unless it was the last

local found = redis.call('HMGET', KEYS[1], 'status', 'attempt')
local status = found[1]
local answer = {status or '', tonumber(found[2] or 0), 0}
if status ~= 'running' and not TERMINAL[status or '']
  or redis.call('LINDEX', KEYS[2], 0) ~= found[2] then
  return answer
end
local size = 0
for i, part in ipairs(redis.call('LRANGE', KEYS[2], ARGV[1] + 1, ARGV[1] + 100)) do
  size = size + #part
  if i > 1 and size > tonumber(ARGV[2]) then
    break
  end
  answer[#answer + 1] = part
end
answer[3] = redis.call('LLEN', KEYS[2]) > ARGV[1] + #answer - 2 and 1 or 0
return answer
