-- End a worker's lease: what it still holds goes back, and it is known no more.
--
-- ARGV  1 worker
-- returns how many messages went back

local given = give_back_all(ARGV[1], false, false)
forget(ARGV[1])
return given
