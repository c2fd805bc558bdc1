-- Finish invocations: of each its record, Celery's result, the news of both, and the message's
-- acknowledgement, in one step.
--
-- ARGV  1 worker   2 token of this request   3 seconds to keep records and results
--       4 seconds to keep dead letters   5 seconds to remember ids after either
--       6 message of what tells of an end   7 its retries   8 seconds until it is too old
--       9... eleven for each invocation:
--         1 tag   2 id   3 terminal status   4 Celery's result   5 reason of the dead letter, or ''
--         6, 7 a field, `result` or `error`, and its value
--         8 '1' to keep the claim until the message is acknowledged: others have to hear of it first
--         9, 10 microseconds since the attempt began and since it ended, if an executor ran it, or ''
--         11 traceparent of what tells of the end, or '' for the one that the message carries
-- returns six numbers for each: 1, attempt, accepted_at, started_at, finished_at, request_id; so it
--         does again if the same request has finished it already. The first is 0 if the claim is not
--         held: nothing is changed

local worker = ARGV[1]
local real = broker_us()
local now = time_at(real)
local keep_until_ms = whole(real / 1000 + kept_ms(ARGV[3]))
local answers, counted, seen, seen_longer, let_go_unstarted = {}, {}, {}, {}, {}
local outliving, closed = {}, {}
-- Most of what is finished at once was never noted as running.
local none_runs = redis.call('EXISTS', running_of(worker)) == 0

local function answer(finished, attempt, accepted_at, started_at, finished_at, request_id)
  local last = #answers
  answers[last + 1], answers[last + 2], answers[last + 3] = finished, attempt, accepted_at
  answers[last + 4], answers[last + 5], answers[last + 6] = started_at, finished_at, request_id
end

-- What is counted and measured of a function is added up, and written once for all.
local function sums_of(name)
  local sums = counted[name]
  if not sums then
    sums = {changes = {}, finished = {}, run = {sum = 0}, wait = {sum = 0}}
    counted[name] = sums
  end
  return sums
end

local function add(numbers, what, by)
  numbers[what] = (numbers[what] or 0) + by
end

local function took(histogram, took_us)
  add(histogram, bucket_of(took_us), 1)
  add(histogram, 'sum', math.max(0, took_us))
end

-- Nearly nobody waits for the news of one invocation: who does is asked once for all.
local channels = {}
for i = 9, #ARGV, 11 do
  channels[#channels + 1] = record_of(ARGV[i + 1])
  channels[#channels + 1] = result_of(ARGV[i + 1])
end
local listeners = listeners_of(channels)
-- Whoever has subscribed to a pattern hears of Celery's results.
local patterns = redis.call('PUBSUB', 'NUMPAT')

local function finish(tag, id, status_now, celery_result, reason, field, value, keeps, began, ended,
    trace_parent)
  local record, result_key = record_of(id), result_of(id)
  local found = redis.call('HMGET', record, 'status', 'attempt', 'accepted_at', 'started_at',
    'request_id', 'function', 'due_at', 'error', 'message', 'cancel_requested', 'callback',
    DESTINATION[status_now])
  local status, name = found[1], found[6]
  local attempt, accepted_at = tonumber(found[2] or 0), tonumber(found[3] or 0)
  if TERMINAL[status] then
    local by = redis.call('HMGET', record, 'finished_by', 'finished_at')
    if by[1] == ARGV[2] then
      return answer(1, attempt, accepted_at, tonumber(found[4] or 0), tonumber(by[2]),
        found[5] or '')
    end
  end
  if redis.call('HEXISTS', in_flight_of(worker), tag) == 0 then
    forget_stop(worker, id)
    return answer(0, 0, 0, 0, 0, '')
  end
  if not status or TERMINAL[status] then
    let_go(worker, tag)
    return answer(0, 0, 0, 0, 0, '')
  end
  local is_started = not none_runs and redis.call('HEXISTS', running_of(worker), tag) == 1
  if status == 'running' and not is_started then
    return answer(0, 0, 0, 0, 0, '')
  end
  local sums = sums_of(name)
  add(sums.changes, status, -1)
  add(sums.changes, status_now, 1)
  add(sums.finished, status_now, 1)
  local started_at, finished_at = tonumber(found[4] or 0), now
  local changes = {'status', status_now, 'finished_by', ARGV[2], field, value}
  if began ~= '' then
    finished_at = now - ended
    if not is_started then
      attempt, started_at = attempt + 1, now - began
      changes[#changes + 1] = 'attempt'
      changes[#changes + 1] = attempt
      changes[#changes + 1] = 'started_at'
      changes[#changes + 1] = whole(started_at)
    elseif now - began < started_at then
      -- It took a moment to note it.
      started_at = now - began
      changes[#changes + 1] = 'started_at'
      changes[#changes + 1] = whole(started_at)
    end
  end
  if is_started or began ~= '' then
    took(sums.run, finished_at - started_at)
    if attempt == 1 then
      took(sums.wait, started_at - accepted_at)
    end
  end
  redis.call('HSET', record, 'finished_at', whole(finished_at), unpack(changes))
  if found[7] or found[8] or found[9] then
    redis.call('HDEL', record, field == 'result' and 'error' or 'result', 'message', 'queue',
      'due_at')
    -- By a second message, one may be finished that is delayed.
    redis.call('ZREM', 'eyas:delayed', id)
  end
  local is_told = found[11] or found[12]
  local message = (reason ~= '' or keeps == '1' or is_told)
    and redis.call('HGET', in_flight_of(worker), tag)
  redis.call('PEXPIREAT', record, keep_until_ms)
  closed[#closed + 1] = id
  if reason == '' then
    seen[#seen + 1] = id
    if hour_of(accepted_at) ~= hour_of(now) then
      outliving[#outliving + 1] = found[3] or 0
      outliving[#outliving + 1] = id
    end
  else
    seen_longer[#seen_longer + 1] = id
    local _, _, queue = parts_of(tag)
    bury(id, name, reason, queue, message, now, ARGV[4])
  end
  if is_started then
    let_go(worker, tag)
    if keeps == '1' then
      redis.call('HSET', in_flight_of(worker), tag, message)
    end
  elseif keeps ~= '1' then
    let_go_unstarted[#let_go_unstarted + 1] = tag
  end
  if found[10] then
    redis.call('SREM', cancelling_of(worker), id)
  end
  if is_told then
    tell_of_end(id, now, found[11], found[12],
      trace_parent ~= '' and trace_parent or trace_parent_of(message), ARGV[3], ARGV[6], ARGV[7], ARGV[8])
  end
  redis.call('SET', result_key, celery_result, 'PXAT', keep_until_ms)
  if listeners[result_key] > 0 or patterns > 0 then
    redis.call('PUBLISH', result_key, celery_result)
  end
  if listeners[record] > 0 then
    -- Who waits need not ask for the record.
    redis.call('PUBLISH', record,
      status_now .. ' ' .. cmsgpack.pack(redis.call('HGETALL', record)))
  end
  announce(id, status_now)
  answer(1, attempt, accepted_at, started_at, finished_at, found[5] or '')
end

for i = 9, #ARGV, 11 do
  finish(unpack(ARGV, i, i + 10))
end
if #let_go_unstarted > 0 then
  redis.call('HDEL', in_flight_of(worker), unpack(let_go_unstarted))
end
call_in_parts('ZREM', 'eyas:open', closed)
outlive(outliving)
local metered = {}
for name, sums in pairs(counted) do
  for status, change in pairs(sums.changes) do
    redis.call('HINCRBY', counts_of(name), status, change)
  end
  for status, number in pairs(sums.finished) do
    metered['finished:' .. status .. ':' .. name] = number
  end
  for _, histogram in ipairs({'run', 'wait'}) do
    for bucket, number in pairs(sums[histogram]) do
      metered[histogram .. ':' .. bucket .. ':' .. name] = number
    end
  end
end
meter_all(metered)
if #seen > 0 then
  note_seen(now, ARGV[3] + ARGV[5], unpack(seen))
end
if #seen_longer > 0 then
  note_seen(now, ARGV[4] + ARGV[5], unpack(seen_longer))
end
return answers
