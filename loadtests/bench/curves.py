"""The names of the curves in a file of results."""

BY_DEPTH = "accepted/s by queue depth"
BY_CONCURRENCY = "accepted/s by connections"
ACCEPTED = "latency, accepted, 32 connections"
WAITED = "latency, Prefer: wait, 1 connection"
OVER_TIME = "soak"
