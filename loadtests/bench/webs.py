"""The web servers beside ours: they accept over HTTP and queue with a library, or only answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadtests.bench import broker, http, load, wire
from loadtests.bench.eyas import NUMBER
from loadtests.bench.plan import HOST, Measured, Plan
from loadtests.bench.processes import (
    PEERS,
    PEERS_REDIS5,
    BrokenError,
    Processes,
    free_ports,
    python,
)
from loadtests.bench.processes import program as program_of

_ACCEPTED = 202
_MODULES = "loadtests.bench.peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A server in one process. `{port}` in its command is where it listens.

    `queued` is the command to the broker, and its key, that counts what is queued.
    """

    name: str
    command: Sequence[str]
    queued: tuple[str, str]
    path: str = "/fib"
    status: int = _ACCEPTED
    environment: str = PEERS
    variables: Mapping[str, str] = field(default_factory=dict)

    def measure(self, seconds: float, *, connections: int) -> float:
        """Return how many are queued per second. Raises `BrokenError`."""
        with Processes() as processes:
            broker_port = broker.start(processes)
            (port,) = free_ports(1)
            measured = self._load(
                processes, port, broker_port, seconds=seconds, connections=connections
            )
            with broker.client(broker_port) as asking:
                queued = int(asking.execute_command(*self.queued))
        if queued != measured.all_answers[self.status]:
            raise BrokenError(
                f"{measured.all_answers[self.status]} were accepted, and {queued} are queued"
            )
        return measured.rate(self.status)

    def _load(
        self,
        processes: Processes,
        port: int,
        broker_port: int,
        *,
        seconds: float,
        connections: int,
    ) -> Measured:
        program, *arguments = (part.format(port=port) for part in self.command)
        processes.start(
            "web",
            [program_of(program, self.environment), *arguments],
            {"BENCH_BROKER_PORT": str(broker_port), **self.variables},
        )
        processes.wait_for(lambda: http.ask(port, "/ping").status == http.OK, self.name)
        request = wire.request(
            "POST",
            self.path,
            host=f"{HOST}:{port}",
            body=json.dumps({"number": NUMBER}).encode(),
        )
        return load.run(Plan(port=port, request=request, seconds=seconds, connections=connections))


def load_bare(*, seconds: float, connections: int) -> Measured:
    """Load a bare Falcon application on the server of the stack: `GET /ping`."""
    with Processes() as processes:
        (port,) = free_ports(1)
        processes.start("bare", [python(), "-m", "loadtests.bench.bare", str(port)])
        processes.wait_for(
            lambda: http.ask(port, "/ping").status == http.OK, "the bare application"
        )
        request = wire.request("GET", "/ping", host=f"{HOST}:{port}")
        return load.run(Plan(port=port, request=request, seconds=seconds, connections=connections))


def _fastapi(name: str, queued: tuple[str, str], *, environment: str = PEERS) -> Web:
    return Web(
        name=f"FastAPI + {name}",
        command=(
            "uvicorn",
            f"{_MODULES}.web:app",
            "--port={port}",
            "--log-level=warning",
            "--no-access-log",
        ),
        queued=queued,
        environment=environment,
        variables={"BENCH_PEER": name},
    )


BLOG = Web(
    name="the blog's: gunicorn, Falcon, fib.delay()",
    command=("gunicorn", f"{_MODULES}.blog:app", "--bind=127.0.0.1:{port}", "--workers=1"),
    queued=("LLEN", "celery"),
    path="/create",
    status=http.OK,
)
FASTAPI = (
    _fastapi("celery", ("LLEN", "celery")),
    _fastapi("dramatiq", ("HLEN", "dramatiq:default.msgs")),
    _fastapi("rq", ("LLEN", "rq:queue:default")),
    _fastapi("huey", ("LLEN", "huey.redis.bench")),
    _fastapi("arq", ("ZCARD", "arq:queue"), environment=PEERS_REDIS5),
    _fastapi("taskiq", ("LLEN", "taskiq")),
    _fastapi("saq", ("ZCARD", "saq:default:incomplete"), environment=PEERS_REDIS5),
)
