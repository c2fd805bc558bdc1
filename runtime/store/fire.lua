-- Run a schedule: accept its invocation, note it as the latest run, and when the next one is due.
--
-- KEYS  as accept.lua, which is carried out with one offer as `accept_part`; and then the schedules
-- ARGV  as accept.lua, and then: function; id of the invocation; definition, due time that is come,
--         and the next one; the last three are '' for a run that somebody asked for
-- returns what accept.lua answers to the offer, or 'not due' if it is not, or is paused, or somebody
--         else has run it

local next_due, due, definition = table.remove(ARGV), table.remove(ARGV), table.remove(ARGV)
local id, name = table.remove(ARGV), table.remove(ARGV)
local schedules = table.remove(KEYS)
if due ~= '' then
  local found = redis.call('HMGET', schedules, 'definition:' .. name, 'due:' .. name,
    'paused:' .. name)
  if found[1] ~= definition or found[2] ~= due or found[3] or now_us() < tonumber(due) then
    return 'not due'
  end
end
local answer = accept_part()[1]
-- When it is due, an id that is known was run at its time, by a scheduler whose notes were lost.
if answer == 'accepted' or answer == 'known' and due ~= '' then
  redis.call('HSET', schedules, 'ran_at:' .. name, whole(now_us()), 'id:' .. name, id)
  if due ~= '' then
    redis.call('HSET', schedules, 'due:' .. name, next_due)
  end
end
return answer
