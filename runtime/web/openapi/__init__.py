"""What the HTTP API is, in a form for programs: OpenAPI 3.1."""
