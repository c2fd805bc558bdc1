-- Count the workers that consume and whose lease holds.
--
-- returns how many

return count_consuming()
