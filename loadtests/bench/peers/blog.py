"""The blog's stack, Falcon and `fib.delay()`: `gunicorn loadtests.bench.peers.blog:app`."""

import json

import falcon

from loadtests.bench.peers.with_celery import fib


class Create:
    """Queues a task."""

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the task's id."""
        raw = json.loads(request.stream.read(request.content_length or 0))
        task = fib.delay(int(raw["number"]))
        response.status = falcon.HTTP_200
        response.text = json.dumps({"status": "success", "data": {"task_id": task.id}})


class Ping:
    """Tells that it serves."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer with a JSON string."""
        response.text = json.dumps("pong!")


app = falcon.App()
app.add_route("/create", Create())
app.add_route("/ping", Ping())
