"""Flower, the monitor of Celery workers, run inside our process by `python -m runtime.flower`.

Inside, and not as `celery flower`, because that takes over logging, reads settings of its own from
the environment, a file and the command line, and prints a banner.
"""
