-- What the scripts have in common; put before each of them. `runtime/store/keys.py` has the keys.

local TERMINAL = {succeeded = true, failed = true, cancelled = true, expired = true}

-- Lua would write a time in microseconds as 1.7e+15.
local function whole(number)
  return string.format('%d', number)
end

-- The broker's own clock. Leases go by it: processes live in real time.
local function broker_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The clock of invocations: the broker's, unless an emulator's was moved on, or goes faster. What was
-- said of it: microseconds ahead of the broker's clock, at which time of that, and how many times as
-- fast since then.
local ahead, since, scale = string.match(redis.call('GET', 'eyas:clock') or '0 0 1',
  '^(%S+) (%S+) (%S+)$')

local function time_at(real)
  return scale == '1' and real + ahead or real + ahead + math.floor((real - since) * (scale - 1))
end

local function now_us()
  return time_at(broker_us())
end

-- For how many milliseconds of its own clock the broker is to keep what is kept for some seconds.
local function kept_ms(seconds)
  return whole(math.max(1, math.ceil(seconds * 1000 / scale)))
end

local function record_of(id) return 'eyas:invocation:' .. id end
local function chunks_of(id) return 'eyas:chunks:' .. id end
local function counts_of(name) return 'eyas:counts:' .. name end
local function in_flight_of(worker) return 'eyas:in_flight:' .. worker end
local function running_of(worker) return 'eyas:running:' .. worker end
local function cancelling_of(worker) return 'eyas:cancelling:' .. worker end
local function landing_of(worker) return 'eyas:landing:' .. worker end
local function handover_of(worker) return 'eyas:handover:' .. worker end
local function result_of(id) return 'celery-task-meta-' .. id end
local METRICS = 'eyas:metrics'
local function slots_of(name) return 'eyas:slots:' .. name end
local function parked_of(name) return 'eyas:parked:' .. name end

local MOST_VALUES = 1000  -- that Lua unpacks at a time; its own limit is some 8000

-- Returns what the last call does, if there is one.
local function call_in_parts(command, key, values)
  local reply
  for i = 1, #values, MOST_VALUES do
    reply = redis.call(command, key, unpack(values, i, math.min(i + MOST_VALUES - 1, #values)))
  end
  return reply
end

-- How many have subscribed to each of some channels.
local function listeners_of(channels)
  local listeners = {}
  for i = 1, #channels, MOST_VALUES do
    local found = redis.call('PUBSUB', 'NUMSUB',
      unpack(channels, i, math.min(i + MOST_VALUES - 1, #channels)))
    for j = 1, #found, 2 do
      listeners[found[j]] = found[j + 1]
    end
  end
  return listeners
end

local function meter(what, by)
  redis.call('HINCRBY', METRICS, what, whole(by))
end

-- Add to many, in two calls.
local function meter_all(changes)
  local names, values = {}, {}
  for what in pairs(changes) do
    names[#names + 1] = what
  end
  if #names == 0 then
    return
  end
  for i, before in ipairs(redis.call('HMGET', METRICS, unpack(names))) do
    values[2 * i - 1] = names[i]
    values[2 * i] = whole((before or 0) + changes[names[i]])
  end
  redis.call('HSET', METRICS, unpack(values))
end

-- Whether somebody listens to a status of all invocations; each channel is looked at once.
local heard = {}

-- Tell who listens to a status of all invocations, if anybody does, that one has it now. What is told
-- is read by `runtime.store.changes`.
local function announce(id, status)
  local channel = 'eyas:changes:' .. status
  if heard[channel] == nil then
    heard[channel] = redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0
  end
  if heard[channel] then
    local found = redis.call('HMGET', record_of(id), 'function', 'attempt', 'max_attempts',
      'accepted_at', 'started_at', 'finished_at', 'due_at', 'error')
    for i = 1, #found do
      found[i] = found[i] or ''
    end
    redis.call('PUBLISH', channel, cmsgpack.pack({id, unpack(found)}))
  end
end

-- Tell who watches an invocation, and who listens to all of them, that it has a status now.
local function tell(id, status)
  redis.call('PUBLISH', record_of(id), status)
  announce(id, status)
end

-- Add to an invocation's history, of which the latest 20,000 bytes or so are kept. `more` are further
-- members, as JSON text after a comma.
local function remember(id, what, now, more)
  local history = redis.call('HGET', record_of(id), 'history') or ''
  while #history > 20000 do
    history = string.gsub(history, '^[^\n]*\n', '', 1)
  end
  redis.call('HSET', record_of(id), 'history', history .. '{"at":' .. whole(now) .. ',"what":"'
    .. what .. '"' .. (more or '') .. '}\n')
end

-- Which attempt it is about: its number and, if that is known, its worker and when it began.
local function attempt_of(number, worker, started_at)
  return ',"attempt":' .. number .. (worker and ',"worker":' .. cjson.encode(worker) or '')
    .. (started_at and ',"started_at":' .. started_at or '')
end

-- The first 500 characters of a text.
local function beginning(text)
  local number = 0
  for at in string.gmatch(text, '()[^\128-\191]') do
    number = number + 1
    if number > 500 then
      return string.sub(text, 1, at - 1)
    end
  end
  return text
end

-- A function error for the history: type and message, shortened as `FunctionError.brief` does it.
local function brief(error)
  local found = cjson.decode(error)
  return cjson.encode({type = beginning(found.type), message = beginning(found.message)})
end

local function hour_of(time)
  return math.floor(time / 3600000000)
end

-- List invocations of a function that are accepted now, for some seconds. There is one list for each
-- hour, the latest first, so that nobody has to look for what has expired. An entry is some of those
-- that were accepted in one step: microseconds of the hour, blank, ids with blanks between them, newline,
-- function.
local function list(now, keep_seconds, name, ids)
  local hour = hour_of(now)
  local key, entries = 'eyas:accepted:' .. hour, {}
  -- With the time, as the same id may come again in this hour.
  local time = whole(now - hour * 3600000000) .. ' '
  for i = 1, #ids, 50 do
    entries[#entries + 1] = time .. table.concat(ids, ' ', i, math.min(i + 49, #ids)) .. '\n' .. name
  end
  if call_in_parts('LPUSH', key, entries) == #entries then
    redis.call('PEXPIRE', key, kept_ms(keep_seconds + 3600))
    redis.call('ZADD', 'eyas:hours', hour, hour)
    local last = hour - keep_seconds / 3600 - 2
    for _, old in ipairs(redis.call('ZRANGE', 'eyas:hours', '-inf', last, 'BYSCORE')) do
      -- It may have been made to last longer. A reset would not find it any more, and its hour may
      -- come again after one.
      redis.call('UNLINK', 'eyas:accepted:' .. old)
    end
    redis.call('ZREMRANGEBYSCORE', 'eyas:hours', '-inf', last)
  end
end

-- Have those found that end now and are kept for longer than the list of the hour in which they were
-- accepted: accepted_at, id, and so on. Now and then some are looked at that may be gone, so that no more
-- than half as many again are remembered as are kept.
local function outlive(ended)
  call_in_parts('ZADD', 'eyas:outliving', ended)
  if #ended > 0 then
    for _, id in ipairs(redis.call('ZRANDMEMBER', 'eyas:outliving', 3 * #ended / 2)) do
      if redis.call('EXISTS', record_of(id)) == 0 then
        redis.call('ZREM', 'eyas:outliving', id)
      end
    end
  end
end

-- Count a new invocation of a function, or one that goes from a status to another.
local function count(name, from, to)
  local counts = counts_of(name)
  if from then
    redis.call('HINCRBY', counts, from, -1)
  elseif redis.call('HINCRBY', counts, 'accepted', 1) == 1 then
    redis.call('SADD', 'eyas:functions', name)
  end
  redis.call('HINCRBY', counts, to, 1)
  if TERMINAL[to] then
    meter('finished:' .. to .. ':' .. name, 1)
  end
end

-- Upper limits of the buckets of histograms, in microseconds. What is longer goes into one more.
local BUCKETS_US = {5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,
  10000000, 30000000, 60000000, 300000000, 1800000000}

local function bucket_of(took_us)
  local bucket = 1
  while BUCKETS_US[bucket] and took_us > BUCKETS_US[bucket] do
    bucket = bucket + 1
  end
  return bucket
end

-- Add how long something took to a histogram of a function.
local function observe(histogram, name, took_us)
  meter(histogram .. ':' .. bucket_of(took_us) .. ':' .. name, 1)
  meter(histogram .. ':sum:' .. name, math.max(0, took_us))
end

-- A message that was delivered before says how often, in front of what its producer wrote. Any
-- reader of JSON passes over the additional member.
local function deliveries_of(message)
  local deliveries = tonumber(string.match(message, '^{"deliveries":(%d+),')) or 0
  -- More digits, which only a stranger can have written, would not stay a whole number in a tag.
  return math.min(deliveries, 1000000000)
end

local function with_deliveries(message, deliveries)
  local bare = string.gsub(message, '^{"deliveries":%d+,', '{', 1)
  if deliveries == 0 or string.sub(bare, 1, 2) ~= '{"' then
    return bare
  end
  return '{"deliveries":' .. deliveries .. ',' .. string.sub(bare, 2)
end

-- What a message that web wrote says at its beginning (`runtime.message.OURS`): its function, its
-- id, and whether it was delivered before. Nothing for any other message.
local function ours(message)
  local _, last = string.find(message, '^{"deliveries":%d+,')
  local name, id = string.match(message,
    '^"headers":{"eyas_trigger":"[^"]*","task":"([^"]*)","id":"([^"]*)"', (last or 1) + 1)
  return name, id, last ~= nil
end

-- The traceparent that a message carries, or ''. It is a header; in the text of a body the quotes would
-- be escaped.
local function trace_parent_of(message)
  local _, before = string.find(message, '"traceparent":"', 1, true)
  local found = before and string.match(message, '^%x%x%-%x+%-%x+%-%x%x', before + 1)
  return found and #found == 55 and found or ''
end

-- The id that a message carries, as `runtime.message.id_in` finds it.
local function id_in(message)
  -- Plain text is found much faster than a pattern.
  local at = string.find(message, '"id"', 1, true)
  while at do
    local id = string.match(message, '^"id"%s*:%s*"([!#-~]+)"', at)
    if id and #id <= 200 then
      return id
    end
    at = string.find(message, '"id"', at + 4, true)
  end
end

-- A claim's tag is {sequence}:{deliveries}:{queue}.
local function parts_of(tag)
  local sequence, deliveries, queue = string.match(tag, '^(%d+):(%d+):(.*)$')
  return tonumber(sequence), tonumber(deliveries), queue
end

-- How many attempts of a function may run at a time, by its own limit (nothing or '0' for none) and by
-- what is reserved for it; nil for any number.
local function limit_of(name, own)
  local limit = tonumber(own or 0)
  local reserved = tonumber(redis.call('HGET', 'eyas:reserved_concurrency', name) or '')
  if limit == 0 then
    return reserved
  end
  return math.min(limit, reserved or limit)
end

-- Whether so many attempts of a function may run at a time only that a slot must be found first.
local function is_limited(name)
  return redis.call('HEXISTS', 'eyas:concurrency', name) == 1
    or redis.call('HEXISTS', 'eyas:reserved_concurrency', name) == 1
end

-- Queue the next message that waits for a slot of a function, or the next few, in their order.
local function wake(name, most)
  local parcels = redis.call('RPOP', parked_of(name), most or 1)
  if not parcels then
    redis.call('SREM', 'eyas:parked', name)
    return
  end
  for i = #parcels, 1, -1 do
    local queue, message = string.match(parcels[i], '^([^\n]*)\n(.*)$')
    redis.call('RPUSH', queue, message)
  end
end

-- End a claim: the message is in no in-flight set any more, and its slot is free.
local function let_go(worker, tag)
  redis.call('HDEL', in_flight_of(worker), tag)
  local id = redis.call('HGET', running_of(worker), tag)
  if not id then
    return
  end
  redis.call('HDEL', running_of(worker), tag)
  redis.call('SREM', cancelling_of(worker), id)
  local name = redis.call('HGET', record_of(id), 'function')
  if name and redis.call('SREM', slots_of(name), worker .. ' ' .. tag) == 1 then
    wake(name)
  end
end

-- A worker has done with an invocation whose claim it does not hold. If a reset had it stopped, forget
-- that: another one may have this id some day. What somebody has cancelled, it may hold by another claim.
local function forget_stop(worker, id)
  if redis.call('HEXISTS', record_of(id), 'cancel_requested') == 0 then
    redis.call('SREM', cancelling_of(worker), id)
  end
end

-- Give one claimed message back: next in its queue. `is_fault` counts the delivery against it.
local function give_back(worker, tag, message, is_fault)
  local _, deliveries, queue = parts_of(tag)
  local id = redis.call('HGET', running_of(worker), tag)
  if id then
    local found = redis.call('HMGET', record_of(id), 'function', 'status', 'claim', 'attempt',
      'started_at')
    if found[2] == 'running' and found[3] == worker .. ' ' .. tag then
      remember(id, 'lost', now_us(), attempt_of(found[4], worker, found[5]))
      count(found[1], 'running', 'queued')
      redis.call('HSET', record_of(id), 'status', 'queued')
      if is_fault then
        meter('crashed:' .. found[1], 1)
        redis.call('HINCRBY', record_of(id), 'crashes', 1)
      end
      tell(id, 'queued')
    end
  else
    _, id = ours(message)
    if id then
      redis.call('SREM', cancelling_of(worker), id)
      if redis.call('HGET', record_of(id), 'claim') == worker .. ' ' .. tag then
        if is_fault then
          -- It may have begun, without a word: the next attempt is not the first.
          local attempt = redis.call('HINCRBY', record_of(id), 'attempt', 1)
          remember(id, 'lost', now_us(), attempt_of(attempt, worker))
        else
          redis.call('HDEL', record_of(id), 'claim')
        end
      end
    end
  end
  let_go(worker, tag)
  redis.call('RPUSH', queue, with_deliveries(message, is_fault and deliveries or deliveries - 1))
end

-- Give back all that a worker holds, or all that it has not started and does not want to keep,
-- oldest first in the queue.
local function give_back_all(worker, is_fault, unstarted_only, kept)
  local in_flight = redis.call('HGETALL', in_flight_of(worker))
  local held = {}
  for i = 1, #in_flight, 2 do
    local tag = in_flight[i]
    if not unstarted_only
      or not kept[tag] and redis.call('HEXISTS', running_of(worker), tag) == 0 then
      held[#held + 1] = {parts_of(tag), tag, in_flight[i + 1]}
    end
  end
  table.sort(held, function(one, other) return one[1] > other[1] end)
  local landed = redis.call('LRANGE', landing_of(worker), 0, -1)
  for _, message in ipairs(landed) do
    redis.call('RPUSH', redis.call('GET', 'eyas:landing_queue:' .. worker) or 'celery', message)
  end
  redis.call('DEL', landing_of(worker))
  for _, one in ipairs(held) do
    give_back(worker, one[2], one[3], is_fault)
  end
  return #held + #landed
end

-- Know nothing of a worker any more that holds no message.
local function forget(worker)
  for _, tag in ipairs(redis.call('HKEYS', running_of(worker))) do
    let_go(worker, tag)
  end
  redis.call('ZREM', 'eyas:leases', worker)
  redis.call('SREM', 'eyas:consuming', worker)
  redis.call('DEL', cancelling_of(worker), 'eyas:landing_queue:' .. worker)
end

-- Count the workers that take messages. One that was killed takes none, though it is known for a while.
local function count_consuming()
  local now, number = broker_us(), 0
  for _, worker in ipairs(redis.call('SMEMBERS', 'eyas:consuming')) do
    local until_us = redis.call('ZSCORE', 'eyas:leases', worker)
    if until_us and tonumber(until_us) > now then
      number = number + 1
    end
  end
  return number
end

-- Remember for some seconds that an id was in use: it is told from one never seen even when its
-- record has expired. One set for each day on which such memories end.
local function note_seen(now, seconds, ...)
  local day = math.floor(now / 86400000000 + seconds / 86400) + 1
  local key = 'eyas:seen:' .. whole(day)
  redis.call('SADD', key, ...)
  redis.call('PEXPIRE', key, kept_ms(day * 86400 - now / 1000000))
end

-- Which field of a record has the destination that is told of an end; when it was cancelled, none is.
local DESTINATION = {succeeded = 'on_success', failed = 'on_failure', expired = 'on_failure',
  cancelled = ''}

-- Queue the invocations that tell of the end of another one: `eyas.callback` a URL, and
-- `eyas.destination` a destination, each if it is given. Ends are numbered: there are several if it is
-- redriven. They go on with the trace of `trace_parent`, unless it is ''. They are listed for
-- `keep_seconds`. `message` is the queue's, with TELL-KIND, TELL-ID and TELL-TRACE in place of what differs.
local function tell_of_end(id, now, callback, destination, trace_parent, keep_seconds, message, retries,
    max_age)
  local number = redis.call('HINCRBY', record_of(id), 'ends', 1)
  local function queue(kind, payload)
    local name, told = 'eyas.' .. kind, id .. '.' .. kind .. '.' .. number
    payload.invocation_id = id
    payload.trace_parent = trace_parent ~= '' and trace_parent or nil
    redis.call('HSET', record_of(told), 'function', name, 'status', 'queued', 'attempt', 0,
      'accepted_at', whole(now), 'trigger', kind, 'payload', cjson.encode(payload),
      'retries', retries, 'max_attempts', retries + 1,
      'expires_at', whole(now + max_age * 1000000))
    redis.call('ZADD', 'eyas:open', whole(now), told)
    count(name, nil, 'queued')
    list(now, keep_seconds, name, {told})
    redis.call('LPUSH', 'celery', (string.gsub(message, 'TELL%-(%u+)',
      {KIND = kind, ID = told, TRACE = trace_parent})))
    announce(told, 'queued')
  end
  if callback then
    queue('callback', {url = callback})
  end
  if destination then
    queue('destination', {destination = destination})
  end
end

-- Keep a finished invocation as a dead letter, with the message to run it again.
local function bury(id, name, reason, queue, message, now, keep_seconds)
  redis.call('HSET', record_of(id), 'dead_letter', reason, 'queue', queue,
    'message', with_deliveries(message, 0))
  for _, key in ipairs({'eyas:dead', 'eyas:dead:' .. name}) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - keep_seconds * 1000000))
    redis.call('ZADD', key, whole(now), id)
  end
  redis.call('PEXPIRE', record_of(id), kept_ms(keep_seconds))
  outlive({redis.call('HGET', record_of(id), 'accepted_at') or 0, id})
end
