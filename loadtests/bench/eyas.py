"""The stack under test: its processes, started as the Procfile does, on private ports and folders.

Every setting that is not a port, a folder or an address has its default. Flower is left out unless
it is asked for: it serves nothing that is measured.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtests import contract
from loadtests.bench import http, load, wire
from loadtests.bench.plan import HOST, Plan
from loadtests.bench.processes import PROJECT, BrokenError, Processes, free_ports

ALL = ("broker", "web", "worker", "scheduler")
WITHOUT_WORKER = ("broker", "web", "scheduler")
BATCH = 100
NUMBER = 10
_LINE = re.compile(r'^(?P<name>\w+): (?:PATH="[^"]*" )?exec (?P<command>.+)$')
_ABSENT = (404, 405)
_CHECKS = 20
_FILL_CONNECTIONS = 32


@dataclass(kw_only=True)
class Eyas:
    """One private stack, of this checkout or another; a context manager."""

    processes: tuple[str, ...] = ALL
    project: Path = PROJECT
    functions_dir: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    running: Processes = field(init=False, default_factory=Processes)
    environment: dict[str, str] = field(init=False)

    def __enter__(self) -> Self:
        self.running.__enter__()
        folder = self.running.folder
        web, broker, flower = free_ports(3)
        self.environment = {
            "PORT": str(web),
            "EYAS_BROKER_PORT": str(broker),
            "EYAS_FLOWER_PORT": str(flower),
            "EYAS_DATA_DIR": str(folder / "data"),
            "EYAS_LOG_DIR": str(folder / "logs"),
            "EYAS_FUNCTIONS_DIR": str(self.functions_dir or self.project / "functions"),
            # The Python that runs this is the one of `python` in the Procfile.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **self.settings,
        }
        try:
            for name in self.processes:
                self.start(name)
            if "web" in self.processes:
                self.wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.running.__exit__(kind, error, trace)

    @property
    def port(self) -> int:
        """Where web listens."""
        return int(self.environment["PORT"])

    @property
    def broker_port(self) -> int:
        return int(self.environment["EYAS_BROKER_PORT"])

    @property
    def log_dir(self) -> Path:
        return Path(self.environment["EYAS_LOG_DIR"])

    def start(self, name: str) -> int:
        """Start a process of the Procfile and return its id."""
        command = commands(self.project)[name]
        return self.running.start(name, command, self.environment, project=self.project)

    def wait_until_ready(self) -> None:
        """Return when what was started serves: without a worker, when web reaches the broker."""
        path = "/readyz" if "worker" in self.running.running else contract.PATH
        self.running.wait_for(
            lambda: http.ask(self.port, path).status == http.OK, "the stack to be ready"
        )

    def request(self, *, headers: Mapping[str, str] | None = None, number: int = NUMBER) -> bytes:
        """Return an invocation of `fib` as it is sent."""
        return self.post(contract.PATH, {"number": number}, headers=headers)

    def batch_request(self, size: int = BATCH) -> bytes:
        """Return a batch of invocations of `fib` as it is sent."""
        return self.post(f"{contract.PATH}/batch", [{"number": NUMBER}] * size)

    def post(self, path: str, payload: Any, *, headers: Mapping[str, str] | None = None) -> bytes:
        return wire.request(
            "POST",
            path,
            host=f"{HOST}:{self.port}",
            body=json.dumps(payload).encode(),
            headers=headers,
        )

    def has_batch_route(self) -> bool:
        """Tell whether the route for batches exists, by asking it for an empty one."""
        return http.ask(self.port, f"{contract.PATH}/batch", body=b"[]").status not in _ABSENT

    def counts(self, function: str = contract.FUNCTION) -> dict[str, int]:
        """Return how many invocations were accepted, and how many have each status."""
        counts: dict[str, int] = http.ask(self.port, f"/functions/{function}").body["counts"]
        return counts

    def finished(self) -> int:
        """Return how many invocations of `fib` are finished."""
        counts = self.counts()
        return sum(counts[status] for status in ("succeeded", "failed", "cancelled", "expired"))

    def fill(self, count: int) -> list[str]:
        """Queue that many invocations; return some of their ids."""
        single, batches = count, 0
        if self.has_batch_route():
            batches, single = divmod(count, BATCH)
        ids: list[str] = []
        for request, requests in ((self.batch_request(), batches), (self.request(), single)):
            if not requests:
                continue
            sent = load.run(
                Plan(
                    port=self.port,
                    request=request,
                    connections=min(requests, _FILL_CONNECTIONS),
                    requests=requests,
                    warm_up_seconds=0,
                    keep_bodies=_CHECKS,
                )
            )
            sent.rate(contract.ACCEPTED)
            bodies = [json.loads(body) for body in sent.bodies]
            ids += [one for body in bodies for one in body.get("ids", [body.get("id")])]
        return [*ids[: _CHECKS // 2], *ids[-_CHECKS // 2 :]]

    def check_accepted(self, expected: int) -> None:
        """Raise `BrokenError` unless the stack counts as many accepted invocations of `fib`."""
        accepted = self.counts()["accepted"]
        if accepted != expected:
            raise BrokenError(f"{expected} were answered with 202, the stack counts {accepted}")

    def check_results(self, ids: list[str], *, number: int = NUMBER) -> None:
        """Raise `BrokenError` unless each of these invocations has succeeded, with its result."""
        for one in ids:
            answer = http.ask(self.port, f"/invocations/{one}", headers={"Prefer": "wait=10"})
            try:
                contract.check_record(answer.status, answer.raw, invocation_id=one, number=number)
            except contract.WrongAnswerError as error:
                raise BrokenError(str(error)) from error


def commands(project: Path = PROJECT) -> dict[str, list[str]]:
    """Return what each line of the Procfile runs."""
    lines = (project / "Procfile").read_text(encoding="utf-8").splitlines()
    found = [match for line in lines if (match := _LINE.match(line))]
    return {match["name"]: match["command"].split() for match in found}
