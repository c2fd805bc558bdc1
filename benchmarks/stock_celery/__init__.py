"""What a killed worker costs with stock Celery: `python -m benchmarks.stock_celery`."""
