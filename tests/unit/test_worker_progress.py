"""Which reports of a handler are passed on."""

from runtime.worker.progress import ProgressReports


def test_reports_of_a_handler_are_sent_after_a_pause_and_the_last_always() -> None:
    sent: list[bytes] = []
    times = iter([5.0, 5.01, 5.11, 5.12])
    report = ProgressReports(send=sent.append, clock=lambda: next(times))

    for done in range(1, 5):
        report({"done": done, "total": 4})

    assert sent == [b'{"done":1,"total":4}', b'{"done":3,"total":4}', b'{"done":4,"total":4}']
