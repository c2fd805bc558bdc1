"""The names of the curves in a file of results."""

BY_DEPTH = "accepted/s by queue depth"
BY_CONCURRENCY = "accepted/s by connections"
BARE_BY_CONCURRENCY = "GET /ping of a bare Falcon app, requests/s by connections"
ACCEPTED = "latency, accepted, 32 connections"
WAITED = "latency, Prefer: wait, 1 connection"
OVER_TIME = "soak"
