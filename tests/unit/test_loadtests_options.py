"""The command line of a load test."""

import math
from argparse import ArgumentParser

import pytest

from loadtests.options import Workload, add_workload, parse


def test_the_defaults_load_the_local_stack() -> None:
    options = parse([], {})

    assert options.host == "http://127.0.0.1:8000"
    assert options.workload.mode == "closed"
    assert (options.workload.seconds, options.workload.warm_up_seconds) == (15, 2)
    assert options.workload.ends_after_seconds == 17
    assert (options.users, options.processes) == (16, 1)
    assert (options.workload.batch, options.workload.invocations_per_request) == (0, 1)
    assert options.thresholds.max_failures == 0
    assert options.thresholds.drain_seconds == 300


def test_the_environment_names_another_stack_and_the_option_wins() -> None:
    environment = {"EYAS_URL": "http://there:1/"}

    assert parse([], environment).host == "http://there:1"
    assert parse(["--host", "http://here:2"], environment).host == "http://here:2"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--host", "localhost:8000"], "--host needs a URL"),
        (["--users", "0"], "must be 1 or more, not 0"),
        (["--rate", "0"], "must be more than 0"),
        (["--rate", "nan"], "must be more than 0"),
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["--seconds", "inf"], "must be 0 or more"),
        (["--mode", "open"], "invalid choice"),
        (["--users", "2", "--processes", "3"], "3 processes need at least as many --users"),
        (["--check-every", "-1"], "must be 0 or more, not -1"),
        (["--batch", "-1"], "--batch: must be 0 or more, not -1"),
        (["--batch", "many"], "--batch: invalid"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(arguments, {})

    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_workload_travels_as_arguments() -> None:
    arguments = ["--mode=arrival", "--rate=12.5", "--number=-1", "--batch=7", "--check-every=3"]
    sent = parse(arguments, {}).workload
    parser = ArgumentParser()
    add_workload(parser, seconds=0, warm_up=0)

    assert Workload.of(parser.parse_args(sent.arguments())) == sent


def test_a_request_has_as_many_invocations_as_its_batch() -> None:
    assert parse(["--batch=100"], {}).workload.invocations_per_request == 100
    assert parse(["--batch=1"], {}).workload.invocations_per_request == 1


def test_by_itself_a_workload_has_no_end() -> None:
    parser = ArgumentParser()
    add_workload(parser, seconds=0, warm_up=0)

    assert Workload.of(parser.parse_args([])).ends_after_seconds == math.inf
