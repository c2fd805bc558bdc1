"""The embedded broker: a real Valkey or Redis server, run by `python -m runtime.broker`.

The Python process is the server's parent and not its forerunner (it does not `exec`), because it
decides how stopping works; `runtime.broker.supervision` says why.
"""
