"""Comparisons of the stack with its peers, side by side on one machine: `make bench`.

A black box like the rest of `loadtests`: it knows URLs, processes that are started by a command
line, and files, and imports nothing of the software under test.
"""
