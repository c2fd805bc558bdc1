"""AWS Lambda's API: its SDKs and its command line need another endpoint URL, and nothing else."""
