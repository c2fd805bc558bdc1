"""The events of a worker, when the broker goes away."""

import pytest

from runtime.store import is_reachable
from runtime.testing import Stack
from runtime.worker.app import EyasCelery
from tests.conftest import SAMPLE_FUNCTIONS


@pytest.mark.timeout(60)
def test_heartbeats_that_cannot_be_sent_are_kept_and_not_waited_for() -> None:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, processes=("broker",)) as stack:
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        app = EyasCelery("events", broker=stack.redis_url, set_as_current=False)
        with app.connection() as connection:
            dispatcher = app.events.Dispatcher(connection, hostname="worker@here")
            dispatcher.send("worker-online", retry=True)
            assert not dispatcher._outbound_buffer
            stack.stop("broker")

            for _ in range(2):
                dispatcher.send("worker-heartbeat", freq=2.0, retry=True)

            kept = [event["type"] for event, _ in dispatcher._outbound_buffer]
            assert kept == ["worker-heartbeat"] * 2
            stack.start("broker")
            stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
            dispatcher.flush()
            assert not dispatcher._outbound_buffer
