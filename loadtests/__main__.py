"""`python -m loadtests`: load a running stack, wait until it has drained, report and judge."""

import locust  # noqa: F401  patches sockets for gevent, so before whatever else imports them

# isort: split
import sys

from loadtests.options import parse
from loadtests.run import run

if __name__ == "__main__":
    sys.exit(run(parse(sys.argv[1:])))
