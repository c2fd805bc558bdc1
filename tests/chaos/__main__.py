"""`python -m tests.chaos`: kill processes of a stack under load, and count what is lost.

    make chaos                               200 kills in 6 to 10 minutes; prints the seed first
    make chaos ARGS="--kills 40 --seed 7"    the faults and pauses of seed 7 again

A run starts a stack of its own on free ports, with 4 executors. Clients send invocations
through HTTP and with stock Celery, some of them delayed, others failing twice before they succeed.
Meanwhile processes are killed with SIGKILL at random moments, mostly in a burst of invocations,
sometimes two at once, and started again at once, as supervisord would. Then the clients stop, and
each accepted invocation is asked for until its status is terminal.

What the words and columns mean; what no kill explains, or came after the last one, is in the row
`(no kill)`:

accepted
    HTTP answered 202, or `send_task` of a stock client returned. After a 503 or a broken connection
    nobody knows: such are `unknown`. In the row of a fault: accepted between the kill before it, of
    whatever kind, and this one, which was thereby the first that they had to survive.
lost
    Accepted, and at the end either unknown to `GET /invocations/{id}` or without a terminal status;
    or it has succeeded, it says, while no handler ran to its end. Handlers note their start and end
    in a file, the ledger, so this does not depend on what the stack says. In the row of the kill
    after its last entry there, or, if it has none, of the last kill before invocations that were
    accepted after it started.
executed twice
    The handler ran to its end more than once, which at-least-once delivery allows. In the row of
    the kill after the first end.
run again
    Attempts in the middle of which their executor was killed, and that started again. `slowest
    rerun` is the longest time from the kill to the new start.
slowest recovery
    The longest time from a kill, on its own, until the stack worked again:

    * a worker or executor: until a handler starts in a new executor;
    * scheduler: until an invocation whose handler raised after the kill starts again;
    * web: until a request that was sent after the kill is answered with 202;
    * broker, its server, whole stack: until, after such an answer, a handler starts.
given up
    Failed as `Poison`, and the ledger has more than one start: its attempts were killed more often
    than Eyas repeats them. It is a dead letter, and not lost.
wrong
    Another result than the right one, or an end that the function does not have.

Exit status: 0 if nothing was lost or wrong, each kill was recovered from, and no answer was
unexpected; else 1, with what is known of the invocations concerned.
"""

import argparse
import random
import sys

from tests.chaos.run import Options, run

_KILLS = 200


def main() -> int:
    """Read the command line, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=_KILLS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    outcome = run(Options(kills=given.kills, seed=given.seed))
    return 1 if outcome.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
