"""The log in the answer of Invoke."""

import base64
from typing import Any

from tests.lambda_api import body, request_id


def tail(answer: Any) -> str:
    return base64.b64decode(answer["LogResult"]).decode(errors="replace")


def test_the_tail_is_what_the_handler_said(client: Any) -> None:
    answer = client.invoke(FunctionName="talk", LogType="Tail", Payload=b'"hello"')
    lines = tail(answer).split("\n")
    one = request_id(answer)

    assert lines[0] == f"START RequestId: {one} Version: $LATEST"
    assert lines[1] == "printed hello"
    assert lines[2].startswith("[WARNING]\t20")
    assert lines[2].endswith(f"Z\t{one}\ta library warns")
    assert lines[3].startswith("[INFO]\t20")
    assert lines[3].endswith(f"Z\t{one}\ttalk.said words=3")
    assert lines[4] == f"END RequestId: {one}"
    assert lines[5].startswith(f"REPORT RequestId: {one}\tDuration: ")
    assert lines[6:] == [""]


def test_the_tail_of_a_failure_has_its_traceback(client: Any) -> None:
    text = tail(client.invoke(FunctionName="fail", LogType="Tail"))

    assert "[ERROR] CustomException: some\nfailure\nTraceback (most recent call last):\n" in text
    assert "\u00a0\u00a0\u00a0\u00a0raise CustomException(" in text
    assert text.count("\nEND RequestId: ") == text.count("\nREPORT RequestId: ") == 1
    timeout = client.invoke(FunctionName="hang", LogType="Tail")
    assert f"Z {request_id(timeout)} Task timed out after 1.00 seconds\n" in tail(timeout)


def test_the_tail_is_the_last_4_kb(client: Any) -> None:
    answer = client.invoke(FunctionName="flood", LogType="Tail", Payload=b'{"lines": 5000}')

    raw = base64.b64decode(answer["LogResult"])
    assert len(raw) == 4096
    assert b"line 004999\nEND RequestId: " in raw
    assert "LogResult" not in client.invoke(FunctionName="flood", Payload=b'{"lines": 1}')


def test_a_call_that_is_waited_for_is_tried_once(client: Any) -> None:
    answer = client.invoke(FunctionName="third_time", LogType="Tail")

    assert answer["FunctionError"] == "Unhandled"
    assert body(answer)["errorType"] == "OSError"
    lines = [line.partition(" ")[0] for line in tail(answer).split("\n")]
    assert lines.count("START") == lines.count("END") == lines.count("REPORT") == 1
    assert lines.count("attempt") == 1
    assert lines.count("[ERROR]") == 1
