-- End claims.
--
-- ARGV  1 worker   2... tags
-- returns how many

for i = 2, #ARGV do
  let_go(ARGV[1], ARGV[i])
end
return #ARGV - 1
