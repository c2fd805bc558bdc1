"""The peers, each as its own documentation sets it up: one module per library, named `with_*`.

Each module defines the task, and `PEER`: how to enqueue it and how to read a result. They run in
environments of their own and import nothing but the library. `BENCH_BROKER_PORT` says where the
broker is.
"""
