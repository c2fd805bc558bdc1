-- Give claimed messages back, each to be the next of its queue.
--
-- ARGV  1 worker   2 a tag, or '' for all messages that it has not started
--       3 whether the process that ran it died: '1', which is counted, or '0'
--       4... with '', tags to keep nevertheless
-- returns how many were given back

if ARGV[2] == '' then
  local kept = {}
  for i = 4, #ARGV do
    kept[ARGV[i]] = true
  end
  return give_back_all(ARGV[1], ARGV[3] == '1', true, kept)
end
local message = redis.call('HGET', in_flight_of(ARGV[1]), ARGV[2])
if not message then
  return 0
end
give_back(ARGV[1], ARGV[2], message, ARGV[3] == '1')
return 1
