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
local now = now_us()
local keep_ms = kept_ms(ARGV[3])
local answers, counted, seen, seen_longer, let_go_unstarted = {}, {}, {}, {}, {}
local metered, outliving = {}, {}
-- Most of what is finished at once was never noted as running.
local none_runs = redis.call('EXISTS', running_of(worker)) == 0

local function answer(...)
  for _, value in ipairs({...}) do
    answers[#answers + 1] = value
  end
end

-- Counts are added up, and written once for all.
local function counts(name, from, to)
  local changes = counted[name] or {}
  counted[name] = changes
  changes[from] = (changes[from] or 0) - 1
  changes[to] = (changes[to] or 0) + 1
end

-- So are histograms.
local function add(what, by)
  metered[what] = (metered[what] or 0) + by
end

local function finish(tag, id, status_now, celery_result, reason, field, value, keeps, began, ended,
    trace_parent)
  local record, result_key = record_of(id), 'celery-task-meta-' .. id
  local found = redis.call('HMGET', record, 'status', 'attempt', 'accepted_at', 'started_at',
    'request_id', 'function', 'finished_by', 'finished_at', 'due_at', 'error', 'message',
    'cancel_requested', 'callback', DESTINATION[status_now])
  local status, name = found[1], found[6]
  local attempt, accepted_at = tonumber(found[2] or 0), tonumber(found[3] or 0)
  if found[7] == ARGV[2] then
    return answer(1, attempt, accepted_at, tonumber(found[4] or 0), tonumber(found[8]),
      found[5] or '')
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
  counts(name, status, status_now)
  add('finished:' .. status_now .. ':' .. name, 1)
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
    observe(add, 'run', name, finished_at - started_at)
    if attempt == 1 then
      observe(add, 'wait', name, started_at - accepted_at)
    end
  end
  redis.call('HSET', record, 'finished_at', whole(finished_at), unpack(changes))
  if found[9] or found[10] or found[11] then
    redis.call('HDEL', record, field == 'result' and 'error' or 'result', 'message', 'queue',
      'due_at')
    -- By a second message, one may be finished that is delayed.
    redis.call('ZREM', 'eyas:delayed', id)
  end
  local is_told = found[13] or found[14]
  local message = (reason ~= '' or keeps == '1' or is_told)
    and redis.call('HGET', in_flight_of(worker), tag)
  redis.call('PEXPIRE', record, keep_ms)
  redis.call('ZREM', 'eyas:open', id)
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
  if found[12] then
    redis.call('SREM', cancelling_of(worker), id)
  end
  if is_told then
    tell_of_end(id, now, found[13], found[14],
      trace_parent ~= '' and trace_parent or trace_parent_of(message), ARGV[3], ARGV[6], ARGV[7], ARGV[8])
  end
  redis.call('SET', result_key, celery_result, 'PX', keep_ms)
  redis.call('PUBLISH', result_key, celery_result)
  -- Who waits need not ask for the record.
  local is_heard = redis.call('PUBSUB', 'NUMSUB', record)[2] > 0
  redis.call('PUBLISH', record,
    is_heard and status_now .. ' ' .. cmsgpack.pack(redis.call('HGETALL', record)) or status_now)
  announce(id, status_now)
  answer(1, attempt, accepted_at, started_at, finished_at, found[5] or '')
end

for i = 9, #ARGV, 11 do
  finish(unpack(ARGV, i, i + 10))
end
if #let_go_unstarted > 0 then
  redis.call('HDEL', in_flight_of(worker), unpack(let_go_unstarted))
end
outlive(outliving)
for name, changes in pairs(counted) do
  for status, change in pairs(changes) do
    redis.call('HINCRBY', counts_of(name), status, change)
  end
end
for what, by in pairs(metered) do
  meter(what, by)
end
if #seen > 0 then
  note_seen(now, ARGV[3] + ARGV[5], unpack(seen))
end
if #seen_longer > 0 then
  note_seen(now, ARGV[4] + ARGV[5], unpack(seen_longer))
end
return answers
