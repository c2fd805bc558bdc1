"""Settings: read once, at an entry point, from the environment, and checked together.

Every process of a stack is given the same environment, so two stacks run side by side on one
machine by changing these. `FIELDS` is the whole list; `docs/settings.md` is tested against it.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from runtime.errors import SettingsError
from runtime.json_text import MAX_INTEGER_DIGITS
from runtime.webhook import key_of

# honcho gives the first process of a Procfile PORT=5000 when nobody chose a port. The contract is
# 8000, so under honcho that untouched default counts as unset.
_HONCHO_DEFAULT_PORT = "5000"

_HIGHEST_PORT = 65535
_MOST_DIGITS = 1_000_000_000
# One step of the broker accepts a batch, and nobody else is served meanwhile.
_LARGEST_BATCH = 10_000
_FASTEST = 1_000_000
_LOG_LEVELS = ("debug", "info", "warning", "error")


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= _HIGHEST_PORT:
        raise ValueError
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _redis_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"redis", "rediss"} or not url.hostname:
        raise ValueError
    if url.port is not None:  # raises ValueError itself for what is no port number
        _port(str(url.port))
    if url.path.strip("/"):
        int(url.path.strip("/"))
    return text


def _digits(text: str) -> int:
    number = _positive(text)
    if number > _MOST_DIGITS:
        raise ValueError
    return number


def _batch(text: str) -> int:
    number = _positive(text)
    if number > _LARGEST_BATCH:
        raise ValueError
    return number


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())


def _switch(text: str) -> bool:
    return {"on": True, "off": False}[text.lower()]


def _scale(text: str) -> float:
    scale = float(text)
    if not 1 <= scale <= _FASTEST:
        raise ValueError
    return scale


def _level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise ValueError
    return text.lower()


def _credentials(text: str) -> str:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise ValueError
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting: its environment variable, how its text is read, and what it means.

    A secret is not shown when it is wrong.
    """

    name: str
    variable: str
    parse: Callable[[str], Any]
    default: str | None
    expected: str
    meaning: str
    is_secret: bool = False


FIELDS = (
    Field(
        name="port",
        variable="PORT",
        parse=_port,
        default="8000",
        expected="a port number from 1 to 65535",
        meaning="where web listens (honcho's untouched 5000 is read as 8000)",
    ),
    Field(
        name="host",
        variable="EYAS_HOST",
        parse=str,
        default="127.0.0.1",
        expected="a host name or address",
        meaning="where web listens",
    ),
    Field(
        name="redis_url",
        variable="REDIS_URL",
        parse=_redis_url,
        default=None,
        expected="a URL such as redis://host:6379/0",
        meaning="unset: the embedded broker; set: that server, and no embedded broker is started",
        is_secret=True,
    ),
    Field(
        name="broker_port",
        variable="EYAS_BROKER_PORT",
        parse=_port,
        default="6390",
        expected="a port number from 1 to 65535",
        meaning="the embedded broker's port on loopback",
    ),
    Field(
        name="flower_port",
        variable="EYAS_FLOWER_PORT",
        parse=_port,
        default="5555",
        expected="a port number from 1 to 65535",
        meaning="where Flower listens",
    ),
    Field(
        name="flower_host",
        variable="EYAS_FLOWER_HOST",
        parse=str,
        default="127.0.0.1",
        expected="a host name or address",
        meaning="where Flower listens; anything but loopback needs EYAS_FLOWER_BASIC_AUTH",
    ),
    Field(
        name="flower_basic_auth",
        variable="EYAS_FLOWER_BASIC_AUTH",
        parse=_credentials,
        default=None,
        expected="user:password",
        meaning="the name and password that Flower asks for",
        is_secret=True,
    ),
    Field(
        name="functions_dir",
        variable="EYAS_FUNCTIONS_DIR",
        parse=Path,
        default="functions",
        expected="a folder",
        meaning="where functions are discovered",
    ),
    Field(
        name="data_dir",
        variable="EYAS_DATA_DIR",
        parse=Path,
        default="data",
        expected="a folder",
        meaning="the embedded broker's files",
    ),
    Field(
        name="log_dir",
        variable="EYAS_LOG_DIR",
        parse=Path,
        default="logs",
        expected="a folder",
        meaning="the log files, one per process type",
    ),
    Field(
        name="log_level",
        variable="EYAS_LOG_LEVEL",
        parse=_level,
        default="info",
        expected="one of " + ", ".join(_LOG_LEVELS),
        meaning="the least severe level that is logged",
    ),
    Field(
        name="log_max_bytes",
        variable="EYAS_LOG_MAX_BYTES",
        parse=_positive,
        default="50000000",
        expected="a whole number of bytes from 1",
        meaning="a log file is rotated when it grows past this size",
    ),
    Field(
        name="log_backups",
        variable="EYAS_LOG_BACKUPS",
        parse=_positive,
        default="5",
        expected="a whole number from 1",
        meaning="how many rotated files are kept of each log file",
    ),
    Field(
        name="workers",
        variable="EYAS_WORKERS",
        parse=_positive,
        default=None,
        expected="a whole number from 1",
        meaning="invocations run at the same time (unset: the number of cores)",
    ),
    Field(
        name="async_attempts",
        variable="EYAS_ASYNC_ATTEMPTS",
        parse=_positive,
        default="1000",
        expected="a whole number from 1",
        meaning="attempts of `async def` functions that a worker runs at the same time, besides",
    ),
    Field(
        name="max_wait_seconds",
        variable="EYAS_MAX_WAIT_SECONDS",
        parse=_positive,
        default="60",
        expected="a whole number of seconds from 1",
        meaning="the longest wait that `Prefer: wait=N` is granted",
    ),
    Field(
        name="lambda_wait_seconds",
        variable="EYAS_LAMBDA_WAIT_SECONDS",
        parse=_positive,
        default="900",
        expected="a whole number of seconds from 1",
        meaning="how long Invoke of the Lambda API waits for the end, before it answers 504",
    ),
    Field(
        name="max_payload_bytes",
        variable="EYAS_MAX_PAYLOAD_BYTES",
        parse=_positive,
        default="1048576",
        expected="a whole number of bytes from 1",
        meaning="the largest payload of an invocation that is not waited for",
    ),
    Field(
        name="max_waited_payload_bytes",
        variable="EYAS_MAX_WAITED_PAYLOAD_BYTES",
        parse=_positive,
        default="6291456",
        expected="a whole number of bytes from 1",
        meaning="the largest payload of an invocation that is waited for",
    ),
    Field(
        name="max_batch",
        variable="EYAS_MAX_BATCH",
        parse=_batch,
        default="1000",
        expected=f"a whole number from 1 to {_LARGEST_BATCH}",
        meaning="the most payloads of a batch",
    ),
    Field(
        name="max_batch_bytes",
        variable="EYAS_MAX_BATCH_BYTES",
        parse=_positive,
        default="6291456",
        expected="a whole number of bytes from 1",
        meaning="the largest batch; each of its payloads is limited by EYAS_MAX_PAYLOAD_BYTES too",
    ),
    Field(
        name="max_result_bytes",
        variable="EYAS_MAX_RESULT_BYTES",
        parse=_positive,
        default="6291456",
        expected="a whole number of bytes from 1",
        meaning="the largest result of an invocation, as JSON text",
    ),
    Field(
        name="max_integer_digits",
        variable="EYAS_MAX_INTEGER_DIGITS",
        parse=_digits,
        default=str(MAX_INTEGER_DIGITS),
        expected="a whole number from 1 to 1000000000",
        meaning="the longest integer, in decimal digits, in a payload or result; "
        "converting one takes time that grows with the square of its length",
    ),
    Field(
        name="result_ttl_seconds",
        variable="EYAS_RESULT_TTL_SECONDS",
        parse=_positive,
        default="86400",
        expected="a whole number of seconds from 1",
        meaning="how long the record of a finished invocation is kept",
    ),
    Field(
        name="dead_letter_ttl_seconds",
        variable="EYAS_DEAD_LETTER_TTL_SECONDS",
        parse=_positive,
        default="1209600",
        expected="a whole number of seconds from 1",
        meaning="how long a dead letter is kept",
    ),
    Field(
        name="expired_ttl_seconds",
        variable="EYAS_EXPIRED_TTL_SECONDS",
        parse=_positive,
        default="604800",
        expected="a whole number of seconds from 1",
        meaning="how long after its record an id is still answered 410 (gone), not 404",
    ),
    Field(
        name="idempotency_ttl_seconds",
        variable="EYAS_IDEMPOTENCY_TTL_SECONDS",
        parse=_positive,
        default="86400",
        expected="a whole number of seconds from 1",
        meaning="how long an `Idempotency-Key` is remembered, and the source and id of an event",
    ),
    Field(
        name="max_delay_seconds",
        variable="EYAS_MAX_DELAY_SECONDS",
        parse=_positive,
        default="31536000",
        expected="a whole number of seconds from 1",
        meaning="the longest `Eyas-Delay`",
    ),
    Field(
        name="max_open",
        variable="EYAS_MAX_OPEN",
        parse=_count,
        default="2000000",
        expected="a whole number from 0",
        meaning="how many invocations may wait or run at a time, before more are answered 429; "
        "0 for any number",
    ),
    Field(
        name="max_deliveries",
        variable="EYAS_MAX_DELIVERIES",
        parse=_positive,
        default="5",
        expected="a whole number from 1",
        meaning="how many processes an invocation may kill before it is a dead letter (Poison)",
    ),
    Field(
        name="emulator",
        variable="EYAS_EMULATOR",
        parse=_switch,
        default=None,
        expected="on or off",
        meaning="whether there are `/_emulator/...` routes, which move the clock and forget "
        "everything (unset: on if web listens on loopback only)",
    ),
    Field(
        name="reload",
        variable="EYAS_RELOAD",
        parse=_switch,
        default=None,
        expected="on or off",
        meaning="whether web, worker and scheduler read the functions folder anew when a file in "
        "it changes (unset: like EYAS_EMULATOR)",
    ),
    Field(
        name="time_scale",
        variable="EYAS_TIME_SCALE",
        parse=_scale,
        default="1",
        expected=f"a number from 1 to {_FASTEST}",
        meaning="how many times as fast delays, retries, ages, schedules and expiry go; "
        "timeouts do not",
    ),
    Field(
        name="callback_key",
        variable="EYAS_CALLBACK_SECRET",
        parse=key_of,
        default=None,
        expected="whsec_ and base64 of 16 bytes or more, or any text that long",
        meaning="what callbacks (`Eyas-Callback`) are signed with; unset: there are none",
        is_secret=True,
    ),
    Field(
        name="callback_hosts",
        variable="EYAS_CALLBACK_HOSTS",
        parse=_words,
        default="",
        expected="host names or addresses separated by commas, or *",
        meaning="where callbacks and destinations may go although it is not on the public internet",
    ),
    Field(
        name="allowed_hosts",
        variable="EYAS_ALLOWED_HOSTS",
        parse=_words,
        default="",
        expected="host names separated by commas, or *",
        meaning="names besides localhost and IP addresses that requests may be addressed to",
    ),
    Field(
        name="allowed_origins",
        variable="EYAS_ALLOWED_ORIGINS",
        parse=_words,
        default="",
        expected="origins such as https://app.example.com, separated by commas",
        meaning="web sites whose pages may call this server from a browser",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long, in seconds, what is finished is kept: records, dead letters, and then bare ids."""

    record_seconds: int
    dead_letter_seconds: int
    id_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one stack. See `FIELDS` for the meaning of each."""

    port: int
    host: str
    redis_url: str | None
    broker_port: int
    flower_port: int
    flower_host: str
    flower_basic_auth: str | None
    functions_dir: Path
    data_dir: Path
    log_dir: Path
    log_level: str
    log_max_bytes: int
    log_backups: int
    workers: int
    async_attempts: int
    max_wait_seconds: int
    lambda_wait_seconds: int
    max_payload_bytes: int
    max_waited_payload_bytes: int
    max_batch: int
    max_batch_bytes: int
    max_result_bytes: int
    max_integer_digits: int
    result_ttl_seconds: int
    dead_letter_ttl_seconds: int
    expired_ttl_seconds: int
    idempotency_ttl_seconds: int
    max_delay_seconds: int
    max_open: int
    max_deliveries: int
    callback_key: bytes | None
    callback_hosts: tuple[str, ...]
    emulator: bool
    reload: bool
    time_scale: float
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read all settings; an empty variable counts as unset.

        Raises `SettingsError` with every problem at once.
        """
        problems: list[str] = []
        values: dict[str, Any] = {}
        for field in FIELDS:
            text = environment.get(field.variable, "").strip() or field.default
            if field.variable == "PORT" and _is_honchos_choice(environment):
                text = field.default
            if text is None:
                values[field.name] = None
                continue
            try:
                values[field.name] = field.parse(text)
            except (ValueError, KeyError):
                shown = "" if field.is_secret else f"={text!r}"
                problems.append(f"{field.variable}{shown}: expected {field.expected}")
        values["workers"] = values.get("workers") or os.cpu_count() or 1
        if values.get("emulator") is None:
            values["emulator"] = is_loopback(values.get("host") or "")
        if values.get("reload") is None:
            values["reload"] = values["emulator"]
        problems.extend(_contradictions(values))
        if problems:
            raise SettingsError(problems)
        return cls(**values)

    @property
    def broker_url(self) -> str:
        """The URL of the broker in use, embedded or not."""
        return self.redis_url or f"redis://127.0.0.1:{self.broker_port}/0"

    @property
    def retention(self) -> Retention:
        """How long finished invocations are kept."""
        return Retention(
            record_seconds=self.result_ttl_seconds,
            dead_letter_seconds=self.dead_letter_ttl_seconds,
            id_seconds=self.expired_ttl_seconds,
        )

    @property
    def web_url(self) -> str:
        """Where a client on this machine finds web."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", "*"} else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Tell whether only programs on this machine reach a server that listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_honchos_choice(environment: Mapping[str, str]) -> bool:
    name = environment.get("HONCHO_PROCESS_NAME")
    if name is None:
        return False
    # Only web's PORT means web's port: the other processes are given one each, 100 apart.
    return not name.startswith("web") or environment.get("PORT") == _HONCHO_DEFAULT_PORT


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    problems = []
    flower_host = values.get("flower_host")
    if flower_host and not is_loopback(flower_host) and not values.get("flower_basic_auth"):
        problems.append(
            f"EYAS_FLOWER_HOST={flower_host!r} is reachable from other machines: "
            "set EYAS_FLOWER_BASIC_AUTH=user:password as well"
        )
    ports: dict[int, str] = {}
    for field in FIELDS:
        port = values.get(field.name)
        if field.parse is not _port or port is None:
            continue
        if port in ports:
            problems.append(f"{ports[port]} and {field.variable} are both {port}")
        ports[port] = field.variable
    return problems
