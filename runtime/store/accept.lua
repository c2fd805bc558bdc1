-- Accept invocations: their records, their messages, and their callers' idempotency keys, in one
-- step. They come in offers, each of which is accepted as a whole, or not at all. Offers of one kind
-- have in common what is said of the kind.
--
-- KEYS  1 queue
-- ARGV  1 number of kinds, and of each: function, trigger, retries, max_attempts,
--         seconds until it is too old to run or 0 for never,
--         how many invocations may wait or run at a time or 0 for any number
--       then of each offer: which kind, from 1; number of invocations; delay in microseconds;
--         replay_of or ''; request_id or ''; '1' to say whether the first one's channel is heard, or
--         ''; key of the idempotency key or '', and, only if there is one, seconds to keep it and
--         digest of the payload
--         and of each of its invocations: id; payload; message, or '' to make only the record, of
--         a message already claimed
-- returns one answer for each offer: 'accepted', or 'heard' if that is to be said and is so;
--         'known' if an id is taken; 'full'; and for a key that was used with this or another payload
--         'replayed {id}' or 'conflict {id}'

local MOST_VALUES = 1000  -- that Lua unpacks at a time; its own limit is some 8000

local position = 1
local function take()
  position = position + 1
  return ARGV[position - 1]
end

local now = now_us()
local now_text = whole(now)

local function record_values(kind, offer)
  local values = {'trigger', kind.trigger, 'retries', kind.retries,
    'max_attempts', kind.max_attempts}
  local function add(name, value)
    values[#values + 1] = name
    values[#values + 1] = value
  end
  if offer.request_id ~= '' then
    add('request_id', offer.request_id)
  end
  if offer.replay_of ~= '' then
    add('replay_of', offer.replay_of)
  end
  if kind.max_age ~= '0' then
    add('expires_at', whole(now + kind.max_age * 1000000))
  end
  return values
end

-- A message that came before its function was redriven: now it is known what it is for.
local function name_function(kind, offer, key, payload)
  local found = redis.call('HMGET', key, 'function', 'status', 'trigger', 'attempt')
  if found[1] ~= 'unknown' or found[2] ~= 'queued' or found[3] ~= 'celery' then
    return
  end
  redis.call('HINCRBY', counts_of('unknown'), 'accepted', -1)
  redis.call('HINCRBY', counts_of('unknown'), 'queued', -1)
  count(kind.name, nil, 'queued')
  redis.call('HSET', key, 'function', kind.name, 'payload', payload,
    unpack(record_values(kind, offer)))
  redis.call('HINCRBY', key, 'max_attempts', found[4])
end

-- What many invocations need once is done once, at the end.
local opened = {}
local queued = {}
local accepted = {}

local function accept(kind, offer, member)
  local key = member.key
  redis.call('HSET', key, 'function', kind.name, 'status', 'queued', 'attempt', 0,
    'accepted_at', now_text, 'payload', member.payload, unpack(offer.values))
  opened[#opened + 1] = now_text
  opened[#opened + 1] = member.id
  accepted[kind.name] = (accepted[kind.name] or 0) + 1
  if member.message == '' then
    if redis.call('DEL', 'eyas:revoked:' .. member.id) == 1 then
      redis.call('HSET', key, 'cancel_requested', 1)
    end
  elseif offer.delay == '0' then
    queued[#queued + 1] = member.message
  else
    local due = whole(now + offer.delay)
    redis.call('HSET', key, 'message', member.message, 'queue', KEYS[1], 'due_at', due)
    redis.call('ZADD', 'eyas:delayed', due, member.id)
  end
end

local open_count
local function is_full(kind, more)
  if kind.most == 0 then
    return false
  end
  open_count = open_count or redis.call('ZCARD', 'eyas:open')
  return open_count + #opened / 2 + more > kind.most
end

local function answer_to(kind, offer)
  if offer.idempotency_key ~= '' then
    local used = redis.call('GET', offer.idempotency_key)
    if used then
      local digest, id = string.match(used, '^(%S+) (.*)$')
      return (digest == offer.digest and 'replayed ' or 'conflict ') .. id
    end
  end
  for _, member in ipairs(offer.members) do
    if redis.call('EXISTS', member.key) == 1 then
      if member.message == '' and kind.name ~= 'unknown' then
        name_function(kind, offer, member.key, member.payload)
      end
      return 'known'
    end
  end
  if is_full(kind, #offer.members) then
    return 'full'
  end
  offer.values = record_values(kind, offer)
  for _, member in ipairs(offer.members) do
    accept(kind, offer, member)
  end
  if offer.idempotency_key ~= '' then
    redis.call('SET', offer.idempotency_key, offer.digest .. ' ' .. offer.members[1].id,
      'EX', offer.keep_seconds)
  end
  if offer.asks ~= '' and redis.call('PUBSUB', 'NUMSUB', offer.members[1].key)[2] > 0 then
    return 'heard'
  end
  return 'accepted'
end

local function call_in_parts(command, key, values)
  for i = 1, #values, MOST_VALUES do
    redis.call(command, key, unpack(values, i, math.min(i + MOST_VALUES - 1, #values)))
  end
end

local kinds = {}
for i = 1, tonumber(take()) do
  kinds[i] = {name = take(), trigger = take(), retries = take(), max_attempts = take(),
    max_age = take(), most = tonumber(take())}
end
local answers = {}
while position <= #ARGV do
  local kind = kinds[tonumber(take())]
  local size = tonumber(take())
  local offer = {delay = take(), replay_of = take(), request_id = take(), asks = take(),
    idempotency_key = take(), members = {}}
  if offer.idempotency_key ~= '' then
    offer.keep_seconds = take()
    offer.digest = take()
  end
  for i = 1, size do
    local id = take()
    offer.members[i] = {id = id, key = record_of(id), payload = take(), message = take()}
  end
  answers[#answers + 1] = answer_to(kind, offer)
end
call_in_parts('ZADD', 'eyas:open', opened)
call_in_parts('LPUSH', KEYS[1], queued)
for name, number in pairs(accepted) do
  if redis.call('HINCRBY', counts_of(name), 'accepted', number) == number then
    redis.call('SADD', 'eyas:functions', name)
  end
  redis.call('HINCRBY', counts_of(name), 'queued', number)
end
return answers
