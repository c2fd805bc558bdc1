-- List dead letters, the latest first.
--
-- KEYS  1 dead letters, of all functions or of one
-- ARGV  1 most to list   2 list those before this position, as 'time id', or ''
--       3 a part also ends when its payloads have more bytes than this
-- returns {{id, field, value, ...}, ...} and the position of the last one if there may be more

local most = tonumber(ARGV[1])
local from = '+inf'
local before_time, before_id
if ARGV[2] ~= '' then
  before_time, before_id = string.match(ARGV[2], '^(%d+) (.*)$')
  from = before_time
end
local listed, position, offset, room = {}, '', 0, tonumber(ARGV[3])
while #listed < most and room > 0 do
  local found = redis.call('ZRANGE', KEYS[1], from, '-inf', 'BYSCORE', 'REV', 'LIMIT', offset, 100,
    'WITHSCORES')
  for i = 1, #found, 2 do
    local id, time = found[i], whole(tonumber(found[i + 1]))
    if #listed < most and room > 0 and not (time == before_time and id >= before_id) then
      local record = redis.call('HGETALL', record_of(id))
      -- The id may be in use again.
      if redis.call('HEXISTS', record_of(id), 'dead_letter') == 1 then
        table.insert(record, 1, id)
        listed[#listed + 1] = record
        room = room - redis.call('HSTRLEN', record_of(id), 'payload')
      end
      position = time .. ' ' .. id
    end
  end
  offset = offset + 100
  if #found < 200 then
    if #listed < most and room > 0 then
      position = ''
    end
    break
  end
end
return {listed, position}
