"""The scheduler: due invocations, lapsed leases, and a look whether anything is lost.

Any number of schedulers may run: each step that they take happens once, whoever takes it.
"""
