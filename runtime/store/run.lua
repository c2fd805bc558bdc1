-- Read what the policy needs to know of an invocation whose attempt was stopped.
--
-- KEYS  1 record
-- returns {function errors so far, microseconds since it was accepted, its own policy or ''}

local found = redis.call('HMGET', KEYS[1], 'failures', 'accepted_at', 'policy')
return {tonumber(found[1] or 0), found[2] and now_us() - found[2] or 0, found[3] or ''}
