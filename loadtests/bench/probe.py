"""`python -m loadtests.bench.probe`: the load generator by itself, against a stack that runs.

For comparing it with others: `make loadtest` in closed mode with as many users, or wrk with as many
connections. It prints accepted/s, latencies, and how much of a core the generator needed.
"""

import argparse
import sys
from urllib.parse import urlsplit

from loadtests import contract
from loadtests.bench import load, wire
from loadtests.bench.plan import LoadError, Plan
from loadtests.options import LOCAL_URL, above, whole


def main() -> int:
    """Load, print, and return the exit status: 1 if not everything was accepted."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.probe", description=__doc__)
    parser.add_argument("--host", default=LOCAL_URL, help="on this machine (%(default)s)")
    parser.add_argument("--connections", type=whole(1), default=16)
    parser.add_argument("--seconds", type=above(0), default=15.0)
    given = parser.parse_args()
    address = urlsplit(given.host)
    request = wire.request(
        "POST", contract.PATH, host=address.netloc, body=contract.payload(10).encode()
    )
    plan = Plan(
        port=address.port or 80,
        request=request,
        connections=given.connections,
        seconds=given.seconds,
        warm_up_seconds=1.0,
    )
    try:
        measured = load.run(plan)
        rate = measured.rate(contract.ACCEPTED)
    except (LoadError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    latencies = ", ".join(f"p{p} {measured.percentile_ms(p):.2f} ms" for p in (50, 95, 99))
    cores = measured.cpu_seconds / (given.seconds + 1.0)
    print(f"{rate:,.0f} accepted/s; {latencies}; the generator used {cores:.2f} of a core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
