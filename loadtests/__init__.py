"""Load tests of a running stack, through HTTP only.

`python -m loadtests` runs one and judges it; `locust -f loadtests/locustfile.py` explores by hand.
Nothing here imports the software under test.
"""
