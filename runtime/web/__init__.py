"""The web edge: HTTP to invocations, and records to HTTP. It never runs a handler."""
