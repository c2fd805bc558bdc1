-- Claim messages: out of the queues, into the in-flight set of a worker, in one step.
--
-- KEYS  1 in-flight set   2 landing list   3... lists to take from, the most urgent first
-- ARGV  1 worker   2 most messages to take   3 lease in seconds   4 queue that feeds the landing list
--       5 largest payload to return, in bytes   6 '1' if traces are on   7... tags to acknowledge
-- returns {now, one, one, ...}, each claimed message one of
--   {tag, message}
--   {tag, '', id, function, traceparent, payload, attempts so far, since when it ages, failures,
--    request_id}
--     of an invocation that web accepted, that was never claimed before, and that may run now and
--     later; a larger payload stays in the record, and is '' here
--   {tag, '', id, function, traceparent, crashes}  of any other one that web accepted: `start` tells
--     whether it may run
-- A traceparent is '' unless traces are on and the message has one.

for i = 7, #ARGV do
  let_go(ARGV[1], ARGV[i])
end

local now = now_us()
local largest_bytes = tonumber(ARGV[5])
local is_traced = ARGV[6] == '1'
local limited = {}

local function look_at(tag, message)
  local name, id, was_delivered = ours(message)
  if not id then
    return {tag, message}
  end
  if limited[name] == nil then
    limited[name] = is_limited(name)
  end
  local trace_parent = is_traced and trace_parent_of(message) or ''
  local found = redis.call('HMGET', record_of(id), 'status', 'payload', 'attempt', 'accepted_at',
    'failures', 'request_id', 'claim', 'due_at', 'cancel_requested', 'expires_at', 'parked',
    'crashes', 'policy', 'redriven_at')
  if was_delivered or found[1] ~= 'queued' or found[7] or found[8] or found[9] or found[11] or found[13]
    or found[10] or limited[name] then
    return {tag, '', id, name, trace_parent, tonumber(found[12] or 0)}
  end
  redis.call('HSET', record_of(id), 'claim', ARGV[1] .. ' ' .. tag)
  local payload = #found[2] <= largest_bytes and found[2] or ''
  return {tag, '', id, name, trace_parent, payload, tonumber(found[3]),
    tonumber(found[14] or found[4]), tonumber(found[5] or 0), found[6] or ''}
end

local claimed = {whole(now)}
local function claim(list, queue)
  local room = ARGV[2] + 1 - #claimed
  local messages = room > 0 and redis.call('RPOP', list, room)
  if not messages then
    return
  end
  local last = redis.call('INCRBY', 'eyas:claims', #messages)
  local held = {}
  for i, message in ipairs(messages) do
    local tag = whole(last - #messages + i) .. ':' .. deliveries_of(message) + 1 .. ':' .. queue
    held[#held + 1] = tag
    held[#held + 1] = message
    claimed[#claimed + 1] = look_at(tag, message)
    if #held == 200 or i == #messages then
      redis.call('HSET', KEYS[1], unpack(held))
      held = {}
    end
  end
end
claim(KEYS[2], ARGV[4])
for i = 3, #KEYS do
  claim(KEYS[i], KEYS[i])
end
-- Even with nothing claimed: what the worker waits for next lands in its list.
if not redis.call('ZSCORE', 'eyas:leases', ARGV[1]) then
  redis.call('ZADD', 'eyas:leases', whole(broker_us() + ARGV[3] * 1000000), ARGV[1])
  redis.call('SET', 'eyas:landing_queue:' .. ARGV[1], ARGV[4])
end
return claimed
