-- Accept invocations: their records, their messages, and their callers' idempotency keys, in one
-- step. They come in offers, each of which is accepted as a whole, or not at all. Offers of one kind
-- have in common what is said of the kind.
--
-- KEYS  1 queue
-- ARGV  1 number of kinds, and of each: function, trigger, retries, max_attempts,
--         seconds until it is too old to run or 0 for never,
--         how many invocations may wait or run at a time or 0 for any number,
--         for how many seconds to list it
--       then of each offer: which kind, from 1; request_id or ''
--         and, only if the kind is negative: number of invocations, else 1; delay in microseconds;
--         '1' to say whether the first one's channel is heard, or ''; how many of these follow:
--         fields that most records do not have, and their values; key of the idempotency key or '',
--         and, only if there is one, seconds to keep it and digest of the payload
--         and of each of its invocations: id; payload; message, or '' to make only the record, of
--         a message already claimed
-- returns one answer for each offer: 'accepted', or 'heard' if that is to be said and is so;
--         'known' if an id is taken; 'full'; and for a key that was used with this or another payload
--         'replayed {id}' or 'conflict {id}'

local MOST_VALUES = 1000  -- that Lua unpacks at a time; its own limit is some 8000
local MEMBER_VALUES = 3

local call = redis.call
local now = now_us()
local now_text = whole(now)

-- What many invocations need once is done once, at the end.
local opened, queued, listed, accepted = {}, {}, {}, {}
local open_count

-- What not every record has.
local function more_values(kind, offer)
  local values = {}
  if offer.request_id ~= '' then
    values = {'request_id', offer.request_id}
  end
  for _, value in ipairs(offer.more or {}) do
    values[#values + 1] = value
  end
  if kind.max_age ~= '0' then
    values[#values + 1] = 'expires_at'
    values[#values + 1] = whole(now + kind.max_age * 1000000)
  end
  return values
end

-- A message that came before its function was redriven: now it is known what it is for.
local function name_function(kind, offer, key, payload)
  local found = call('HMGET', key, 'function', 'status', 'trigger', 'attempt')
  if found[1] ~= 'unknown' or found[2] ~= 'queued' or found[3] ~= 'celery' then
    return
  end
  call('HINCRBY', counts_of('unknown'), 'accepted', -1)
  call('HINCRBY', counts_of('unknown'), 'queued', -1)
  count(kind.name, nil, 'queued')
  call('HSET', key, 'function', kind.name, 'payload', payload, 'retries', kind.retries,
    'max_attempts', kind.max_attempts + found[4], unpack(more_values(kind, offer)))
end

local function is_full(kind, more)
  if kind.most == 0 then
    return false
  end
  open_count = open_count or call('ZCARD', 'eyas:open')
  return open_count + #opened / 2 + more > kind.most
end

local function accept(kind, offer, values, id, payload, message)
  local key = record_of(id)
  call('HSET', key, 'function', kind.name, 'status', 'queued', 'attempt', '0',
    'accepted_at', now_text, 'trigger', kind.trigger, 'payload', payload,
    'retries', kind.retries, 'max_attempts', kind.max_attempts, unpack(values))
  opened[#opened + 1] = now_text
  opened[#opened + 1] = id
  listed[#listed + 1] = id .. ' ' .. kind.name
  if message == '' then
    if call('DEL', 'eyas:revoked:' .. id) == 1 then
      call('HSET', key, 'cancel_requested', 1)
    end
  elseif not offer.delay or offer.delay == '0' then
    queued[#queued + 1] = message
  else
    local due = whole(now + offer.delay)
    call('HSET', key, 'message', message, 'queue', KEYS[1], 'due_at', due,
      'delay', offer.delay)
    call('ZADD', 'eyas:delayed', due, id)
  end
  announce(id, 'queued')
end

-- The answer to an offer whose invocations are the arguments from `first` to `last`.
local function answer_to(kind, offer, first, last)
  if offer.used_key then
    local used = call('GET', offer.used_key)
    if used then
      local digest, id = string.match(used, '^(%S+) (.*)$')
      return (digest == offer.digest and 'replayed ' or 'conflict ') .. id
    end
  end
  for i = first, last, MEMBER_VALUES do
    local key = record_of(ARGV[i])
    if call('EXISTS', key) == 1 then
      if ARGV[i + 2] == '' and kind.name ~= 'unknown' then
        name_function(kind, offer, key, ARGV[i + 1])
      end
      return 'known'
    end
  end
  local size = (last - first + 1) / MEMBER_VALUES
  if is_full(kind, size) then
    return 'full'
  end
  local values = more_values(kind, offer)
  for i = first, last, MEMBER_VALUES do
    accept(kind, offer, values, ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
  accepted[kind.name] = (accepted[kind.name] or 0) + size
  if offer.used_key then
    call('SET', offer.used_key, offer.digest .. ' ' .. ARGV[first], 'PX',
      kept_ms(offer.keep_seconds))
  end
  if offer.asks == '1' and call('PUBSUB', 'NUMSUB', record_of(ARGV[first]))[2] > 0 then
    return 'heard'
  end
  return 'accepted'
end

local function call_in_parts(command, key, values)
  for i = 1, #values, MOST_VALUES do
    call(command, key, unpack(values, i, math.min(i + MOST_VALUES - 1, #values)))
  end
end

local kinds = {}
local at = 2
for i = 1, tonumber(ARGV[1]) do
  kinds[i] = {name = ARGV[at], trigger = ARGV[at + 1], retries = ARGV[at + 2],
    max_attempts = ARGV[at + 3], max_age = ARGV[at + 4], most = tonumber(ARGV[at + 5]),
    listed = tonumber(ARGV[at + 6])}
  at = at + 7
end
local answers, last = {}, #ARGV
while at <= last do
  local number, offer = tonumber(ARGV[at]), {request_id = ARGV[at + 1]}
  local first, size = at + 2, 1
  if number < 0 then
    number, size, first = -number, ARGV[at + 2], at + 6 + ARGV[at + 5]
    offer.delay, offer.asks, offer.more = ARGV[at + 3], ARGV[at + 4], {unpack(ARGV, at + 6, first - 1)}
    if ARGV[first] ~= '' then
      offer.used_key, offer.keep_seconds, offer.digest = unpack(ARGV, first, first + 2)
      first = first + 2
    end
    first = first + 1
  end
  at = first + size * MEMBER_VALUES
  answers[#answers + 1] = answer_to(kinds[number], offer, first, at - 1)
end
call_in_parts('ZADD', 'eyas:open', opened)
call_in_parts('LPUSH', KEYS[1], queued)
if kinds[1] then
  list(now, kinds[1].listed, listed)
end
for name, number in pairs(accepted) do
  if call('HINCRBY', counts_of(name), 'accepted', number) == number then
    call('SADD', 'eyas:functions', name)
  end
  call('HINCRBY', counts_of(name), 'queued', number)
end
return answers
