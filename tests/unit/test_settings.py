import re
from pathlib import Path

import pytest

from runtime.errors import SettingsError
from runtime.settings import FIELDS, Settings, is_loopback

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_without_an_environment_everything_has_its_default() -> None:
    settings = Settings.from_environment({})

    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.broker_url == "redis://127.0.0.1:6390/0"
    assert settings.flower_port == 5555
    assert settings.functions_dir == Path("functions")
    assert settings.workers >= 1
    assert settings.web_url == "http://127.0.0.1:8000"


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(
            {
                "PORT": "x",
                "EYAS_WORKERS": "0",
                "REDIS_URL": "http://a",
                "EYAS_MAX_WAIT_SECONDS": "inf",
                "EYAS_FLOWER_HOST": "0.0.0.0",
            }
        )

    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 5
    assert "PORT='x': expected a port number" in problems
    for name in ("EYAS_WORKERS", "REDIS_URL", "EYAS_MAX_WAIT_SECONDS", "EYAS_FLOWER_BASIC_AUTH"):
        assert name in problems


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("EYAS_CALLBACK_SECRET", "hidden"),
        ("REDIS_URL", "redis://:hidden@host:port/0"),
        ("EYAS_FLOWER_BASIC_AUTH", "hidden"),
    ],
)
def test_a_secret_that_is_wrong_is_not_shown(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}: expected") as caught:
        Settings.from_environment({variable: text})
    assert "hidden" not in str(caught.value)


def test_an_empty_variable_counts_as_unset() -> None:
    settings = Settings.from_environment({"PORT": "", "REDIS_URL": " "})

    assert settings.port == 8000
    assert settings.redis_url is None


def test_two_servers_cannot_share_a_port() -> None:
    with pytest.raises(SettingsError, match="PORT and EYAS_FLOWER_PORT are both 5555"):
        Settings.from_environment({"PORT": "5555"})


def test_flower_may_leave_loopback_with_credentials() -> None:
    environment = {"EYAS_FLOWER_HOST": "0.0.0.0", "EYAS_FLOWER_BASIC_AUTH": "me:secret"}

    assert Settings.from_environment(environment).flower_basic_auth == "me:secret"


def test_honchos_untouched_default_port_counts_as_unset() -> None:
    honcho = {"HONCHO_PROCESS_NAME": "web.1"}

    assert Settings.from_environment(honcho | {"PORT": "5000"}).port == 8000
    assert Settings.from_environment(honcho | {"PORT": "5001"}).port == 5001
    assert Settings.from_environment({"PORT": "5000"}).port == 5000


def test_a_port_that_honcho_gives_to_another_process_than_web_is_not_webs() -> None:
    worker = {"HONCHO_PROCESS_NAME": "worker.1", "PORT": "6390"}

    assert Settings.from_environment(worker).port == 8000


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.com", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_documentation_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)

    documented = {name: default.strip("`") for name, default in rows}
    assert documented == {f.variable: f.default or "unset" for f in FIELDS}


def test_reloading_is_for_emulators_unless_it_is_said_otherwise() -> None:
    def reloads(**environment: str) -> bool:
        return Settings.from_environment(environment).reload

    assert reloads()
    assert not reloads(EYAS_HOST="0.0.0.0")
    assert not reloads(EYAS_EMULATOR="off")
    assert reloads(EYAS_EMULATOR="off", EYAS_RELOAD="on")
    assert not reloads(EYAS_RELOAD="off")
