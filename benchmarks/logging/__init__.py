"""What a log line costs, ours and other people's: `python -m benchmarks.logging`."""
