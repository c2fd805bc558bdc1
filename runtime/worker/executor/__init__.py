"""Executors: processes of a worker that run attempts, and know nothing of broker and Celery.

A serial executor runs one attempt after the other. A shared one runs many at a time: `async def`
handlers in its event loop, or handlers that mostly wait in threads.
"""
