-- Read what the policy needs to know of an invocation whose attempt was stopped.
--
-- KEYS  1 record
-- returns {function errors so far, microseconds since it ages, its own policy or ''}

local found = redis.call('HMGET', KEYS[1], 'failures', 'accepted_at', 'policy', 'redriven_at')
local since = found[4] or found[2]
return {tonumber(found[1] or 0), since and now_us() - since or 0, found[3] or ''}
