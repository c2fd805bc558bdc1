"""The worker edge: functions as Celery tasks, run in processes of their own."""
