-- Keep parts of what running attempts yield, for whoever follows them.
--
-- ARGV  1 worker   2... five for each part: tag, id, how many parts of the attempt were before it,
--       the part (a JSON list), milliseconds to keep all of them
-- returns how many were kept; the others are of attempts that these claims do not run, or were kept
--         before, or come after one that is missing

local kept = 0
for i = 2, #ARGV, 5 do
  local tag, id, before, part, keep_ms = unpack(ARGV, i, i + 4)
  local found = redis.call('HMGET', record_of(id), 'status', 'claim', 'attempt')
  if found[1] == 'running' and found[2] == ARGV[1] .. ' ' .. tag then
    local chunks = chunks_of(id)
    if before == '0' and redis.call('LINDEX', chunks, 0) ~= found[3] then
      redis.call('DEL', chunks)
      redis.call('RPUSH', chunks, found[3])
    end
    -- An attempt before this one may have left as many.
    if redis.call('LLEN', chunks) == before + 1 and redis.call('LINDEX', chunks, 0) == found[3] then
      redis.call('RPUSH', chunks, part)
      redis.call('PEXPIRE', chunks, keep_ms)
      redis.call('PUBLISH', record_of(id), 'yielded')
      kept = kept + 1
    end
  end
end
return kept
