-- Claim messages: out of the queues, into the in-flight set of a worker, in one step.
--
-- KEYS  1 in-flight set   2 landing list   3... lists to take from, the most urgent first
-- ARGV  1 worker   2 most messages to take   3 lease in seconds   4 queue that feeds the landing list
--       5... tags to acknowledge
-- returns {tag, message, tag, message, ...}

for i = 5, #ARGV do
  let_go(ARGV[1], ARGV[i])
end
local claimed = {}
local function claim(list, queue)
  while #claimed < 2 * ARGV[2] do
    local message = redis.call('RPOP', list)
    if not message then
      return
    end
    local sequence = redis.call('INCR', 'eyas:claims')
    local tag = whole(sequence) .. ':' .. deliveries_of(message) + 1 .. ':' .. queue
    redis.call('HSET', KEYS[1], tag, message)
    claimed[#claimed + 1] = tag
    claimed[#claimed + 1] = message
  end
end
claim(KEYS[2], ARGV[4])
for i = 3, #KEYS do
  claim(KEYS[i], KEYS[i])
end
-- Even with nothing claimed: what the worker waits for next lands in its list.
if not redis.call('ZSCORE', 'eyas:leases', ARGV[1]) then
  redis.call('ZADD', 'eyas:leases', whole(now_us() + ARGV[3] * 1000000), ARGV[1])
  redis.call('SET', 'eyas:landing_queue:' .. ARGV[1], ARGV[4])
end
return claimed
