-- Read the ids of a list's messages, from where producers push.
--
-- Messages may be large: few are read at a time, and none leaves the broker.
--
-- KEYS  1 list
-- ARGV  1 index of the first   2 most messages to read   3 stop also after this many bytes
-- returns {index to go on from, or -1 at the end; ids}

local ids, at, room = {}, tonumber(ARGV[1]), tonumber(ARGV[3])
local stop, slice = at + ARGV[2], 4
while at < stop and room > 0 do
  local wanted = math.min(slice, stop - at)
  local messages = redis.call('LRANGE', KEYS[1], whole(at), whole(at + wanted - 1))
  local bytes = 1
  for _, message in ipairs(messages) do
    bytes = bytes + #message
    ids[#ids + 1] = id_in(message)
  end
  if #messages < wanted then
    return {-1, ids}
  end
  at = at + wanted
  room = room - bytes
  slice = math.max(1, math.min(4 * wanted, math.floor(wanted * 262144 / bytes), 256))
end
return {at, ids}
