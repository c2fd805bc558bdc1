"""Clients that go on sending invocations, over HTTP and with stock Celery, whatever happens."""

import contextlib
import http.client
import itertools
import json
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import celery
import kombu.exceptions

from runtime.testing import Stack

FAST, SHORT, LONG, FLAKY = "fast", "short", "long", "flaky"

_HTTP_CLIENTS = 4
_HTTP_PAUSES_SECONDS = (0.1, 0.4)
_HTTP_MIX = {FAST: 60, SHORT: 18, FLAKY: 20, LONG: 2}
_CELERY_PAUSES_SECONDS = (0.3, 0.9)
_CELERY_MIX = {FAST: 6, SHORT: 1, FLAKY: 1}
_CELERY_DELAYED = 0.2
_DELAY_SECONDS = 1.0
_ANSWER_SECONDS = 15.0
_JOIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An accepted invocation: HTTP answered 202, or a stock client's `send_task` returned."""

    id: str
    function: str
    number: int
    trigger: str
    sent_at: float
    accepted_at: float


@dataclass
class Load:
    """A context manager: clients send until it ends; `burst` makes them hurry.

    An answer of 503 and a broken connection say nothing about whether the invocation exists: they
    are counted as `unknown`. Any other answer is `unexpected`.
    """

    stack: Stack
    seed: int
    accepted: list[Sent] = field(init=False, default_factory=list)
    unknown: Counter[str] = field(init=False, default_factory=Counter)
    unexpected: Counter[str] = field(init=False, default_factory=Counter)
    _numbers: "itertools.count[int]" = field(init=False, default_factory=itertools.count)
    _burst: "queue.SimpleQueue[str]" = field(init=False, default_factory=queue.SimpleQueue)
    _ended: threading.Event = field(init=False, default_factory=threading.Event)
    _threads: list[threading.Thread] = field(init=False, default_factory=list)

    def __enter__(self) -> Self:
        sends = [self._send_by_http] * _HTTP_CLIENTS + [self._send_by_celery]
        for number, send in enumerate(sends):
            # Seeded with text: tuples are not accepted, and sums of seeds collide.
            own = random.Random(f"{self.seed} {number}")  # noqa: S311  repeatable, not secret
            thread = threading.Thread(target=self._report, args=[send, own], daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        if any(thread.is_alive() for thread in self._threads):
            raise TimeoutError(f"a client still waits for its answer after {_JOIN_SECONDS} s")

    def burst(self, count: int) -> None:
        """Let the HTTP clients send so many fast invocations without a pause, from now on."""
        for _ in range(count):
            self._burst.put(FAST)

    def _report(self, send: Callable[[random.Random], None], own: random.Random) -> None:
        try:
            send(own)
        except Exception as error:  # a client that has gone unnoticed would be less load
            self.unexpected[f"a client ended: {error!r}"] += 1
            raise

    def _send_by_http(self, own: random.Random) -> None:
        address = urlsplit(self.stack.url).netloc
        with contextlib.closing(
            http.client.HTTPConnection(address, timeout=_ANSWER_SECONDS)
        ) as connection:
            while not self._ended.is_set():
                pause = own.uniform(*_HTTP_PAUSES_SECONDS)
                try:
                    function = self._burst.get(timeout=pause)
                except queue.Empty:
                    function = _one_of(_HTTP_MIX, own)
                self._post(connection, function)

    def _post(self, connection: http.client.HTTPConnection, function: str) -> None:
        number = next(self._numbers)
        sent_at = time.monotonic()
        try:
            body = json.dumps({"number": number})
            connection.request("POST", f"/functions/{function}", body)
            with connection.getresponse() as answer:
                status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.unknown[type(error).__name__] += 1
            return
        if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            self.unknown["503"] += 1
        elif status != http.HTTPStatus.ACCEPTED:
            self.unexpected[f"{status} {text[:200]!r}"] += 1
        else:
            self._accept(json.loads(text)["id"], function, number, "http", sent_at)

    def _send_by_celery(self, own: random.Random) -> None:
        with celery.Celery(broker=self.stack.redis_url, set_as_current=False) as app:
            while not self._ended.wait(own.uniform(*_CELERY_PAUSES_SECONDS)):
                number = next(self._numbers)
                function = _one_of(_CELERY_MIX, own)
                countdown = _DELAY_SECONDS if own.random() < _CELERY_DELAYED else None
                sent_at = time.monotonic()
                try:
                    sent = app.send_task(function, kwargs={"number": number}, countdown=countdown)
                except kombu.exceptions.OperationalError:
                    self.unknown["send_task"] += 1
                else:
                    self._accept(sent.id, function, number, "celery", sent_at)

    def _accept(
        self, invocation_id: str, function: str, number: int, trigger: str, sent_at: float
    ) -> None:
        self.accepted.append(
            Sent(
                id=invocation_id,
                function=function,
                number=number,
                trigger=trigger,
                sent_at=sent_at,
                accepted_at=time.monotonic(),
            )
        )


def _one_of(mix: dict[str, int], own: random.Random) -> str:
    return own.choices(list(mix), weights=list(mix.values()))[0]
