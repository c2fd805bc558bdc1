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
-- If this is one invocation, nothing is queued, and a worker has nothing to do, it is claimed for that
-- worker instead of being queued: see `hand_over`.
-- returns one answer for each offer: 'accepted', or 'heard' if that is to be said and is so;
--         'known' if an id is taken; 'full'; and for a key that was used with this or another payload
--         'replayed {id}' or 'conflict {id}'

local MEMBER_VALUES = 3
local LARGEST_BYTES = 32768  -- of a payload that is passed around; what is larger is read from the record

local call = redis.call
local now = now_us()
local now_text = whole(now)

-- What many invocations need once is done once, at the end.
local opened, queued = {}, {}
local open_count
-- Keys of the records, by the arguments that are their ids, and whether one of them may be there: mostly
-- none is, which is asked once for all.
local keys_at, some_may_exist = {}, false

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

local function accept(kind, offer, values, key, id, payload, message)
  call('HSET', key, 'function', kind.name, 'status', 'queued', 'attempt', '0',
    'accepted_at', now_text, 'trigger', kind.trigger, 'payload', payload,
    'retries', kind.retries, 'max_attempts', kind.max_attempts, unpack(values))
  opened[#opened + 1] = now_text
  opened[#opened + 1] = id
  kind.ids[#kind.ids + 1] = id
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
    if some_may_exist and call('EXISTS', keys_at[i]) == 1 then
      if ARGV[i + 2] == '' and kind.name ~= 'unknown' then
        name_function(kind, offer, keys_at[i], ARGV[i + 1])
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
    accept(kind, offer, values, keys_at[i], ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
  if offer.used_key then
    call('SET', offer.used_key, offer.digest .. ' ' .. ARGV[first], 'PX',
      kept_ms(offer.keep_seconds))
  end
  if offer.asks == '1' and call('PUBSUB', 'NUMSUB', record_of(ARGV[first]))[2] > 0 then
    return 'heard'
  end
  return 'accepted'
end

-- A worker that takes messages, has none, and listens for what is handed over to it.
local function waiting_worker()
  for _, worker in ipairs(call('SMEMBERS', 'eyas:consuming')) do
    if call('PUBSUB', 'NUMSUB', handover_of(worker))[2] > 0
      and call('EXISTS', in_flight_of(worker), landing_of(worker)) == 0
      and tonumber(call('ZSCORE', 'eyas:leases', worker) or 0) > broker_us() then
      return worker
    end
  end
end

-- Claim an invocation for a worker that waits, and tell it: neither it nor the disk is waited for once
-- more. Only what `claim` would give out to be run at once; `runtime.store.handover` reads it.
local function hand_over(kind, offer, id, payload, message)
  if offer.more and #offer.more > 0 or kind.max_age ~= '0' or call('LLEN', KEYS[1]) > 0
    or is_limited(kind.name) then
    return false
  end
  local worker = waiting_worker()
  if not worker then
    return false
  end
  local tag = whole(call('INCR', 'eyas:claims')) .. ':1:' .. KEYS[1]
  call('HSET', in_flight_of(worker), tag, message)
  call('HSET', record_of(id), 'claim', worker .. ' ' .. tag)
  if #payload > LARGEST_BYTES then
    payload = ''
  end
  call('PUBLISH', handover_of(worker), #payload .. ' ' .. payload
    .. cmsgpack.pack({now_text, tag, id, kind.name, trace_parent_of(message), offer.request_id}))
  return true
end

local kinds = {}
local at = 2
for i = 1, tonumber(ARGV[1]) do
  kinds[i] = {name = ARGV[at], trigger = ARGV[at + 1], retries = ARGV[at + 2],
    max_attempts = ARGV[at + 3], max_age = ARGV[at + 4], most = tonumber(ARGV[at + 5]),
    listed_seconds = tonumber(ARGV[at + 6]), ids = {}}
  at = at + 7
end
local offers, keys = {}, {}
while at <= #ARGV do
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
  offer.kind, offer.first, offer.last = kinds[number], first, at - 1
  offers[#offers + 1] = offer
  for i = first, at - 1, MEMBER_VALUES do
    local key = record_of(ARGV[i])
    some_may_exist = some_may_exist or keys[key] ~= nil
    keys_at[i], keys[key], keys[#keys + 1] = key, true, key
  end
end
for i = 1, #keys, MOST_VALUES do
  some_may_exist = some_may_exist
    or call('EXISTS', unpack(keys, i, math.min(i + MOST_VALUES - 1, #keys))) > 0
end
local answers = {}
for i, offer in ipairs(offers) do
  answers[i] = answer_to(offer.kind, offer, offer.first, offer.last)
end
call_in_parts('ZADD', 'eyas:open', opened)
local only = offers[1]
if #queued ~= 1 or #opened ~= 2 or #offers ~= 1
  or not hand_over(only.kind, only, unpack(ARGV, only.first, only.last)) then
  call_in_parts('LPUSH', KEYS[1], queued)
end
for _, kind in ipairs(kinds) do
  local number, counts = #kind.ids, counts_of(kind.name)
  if number > 0 then
    list(now, kind.listed_seconds, kind.name, kind.ids)
    if call('HINCRBY', counts, 'accepted', number) == number then
      call('SADD', 'eyas:functions', kind.name)
    end
    call('HINCRBY', counts, 'queued', number)
  end
end
return answers
