-- Read the ids of messages in a worker's in-flight set, the oldest claim first.
--
-- Messages may be large: one is read at a time, and none leaves the broker.
--
-- KEYS  1 in-flight set
-- ARGV  1 number of the claim to go on after   2 most messages to read
--       3 stop also after this many bytes
-- returns {number of the claim to go on after, or -1 at the end; ids}

local tags = {}
for _, tag in ipairs(redis.call('HKEYS', KEYS[1])) do
  local sequence = parts_of(tag)
  if sequence > tonumber(ARGV[1]) then
    tags[#tags + 1] = {sequence, tag}
  end
end
table.sort(tags, function(one, other) return one[1] < other[1] end)
local ids, room = {}, tonumber(ARGV[3])
for number, one in ipairs(tags) do
  local message = redis.call('HGET', KEYS[1], one[2])
  ids[#ids + 1] = id_in(message)
  room = room - #message
  if number < #tags and (number >= tonumber(ARGV[2]) or room <= 0) then
    return {one[1], ids}
  end
end
return {-1, ids}
