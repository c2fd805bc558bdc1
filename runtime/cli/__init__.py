"""The `eyas` command."""
