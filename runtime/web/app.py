"""The Falcon application."""

from typing import Any

import falcon
import falcon.asgi

from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import AsyncStore, GroupCommit, Watcher
from runtime.tracing import OFF, Tracing
from runtime.web import blog, console, dead_letters, emulator, health, problems, schedules
from runtime.web.aws.api import LambdaApi
from runtime.web.changes import Changes
from runtime.web.event_stream import OpenStreams
from runtime.web.exchange import Request
from runtime.web.functions import FunctionList, FunctionResource, UnknownFunction
from runtime.web.invocation_events import InvocationEvents
from runtime.web.invocation_logs import InvocationLogs
from runtime.web.invocations import InvocationList, InvocationResource, Replay
from runtime.web.invoking import Invoker
from runtime.web.metrics import Metrics, Refusals
from runtime.web.middleware import Connections, Edge
from runtime.web.openapi.resource import OpenAPI
from runtime.web.subscriptions import Events

App = falcon.asgi.App[Request, falcon.asgi.Response]


def create_app(
    *,
    registry: Registry,
    settings: Settings,
    store: AsyncStore,
    commits: GroupCommit,
    watcher: Watcher,
    refusals: Refusals | None = None,
    streams: OpenStreams | None = None,
    tracing: Tracing = OFF,
) -> App:
    """Make the application: one route for each function, and those around them.

    `refusals` goes on counting where another application has stopped. Whoever stops the server ends
    `streams` before.
    """
    refusals = refusals or Refusals()
    streams = streams or OpenStreams()
    middleware: list[Any] = [
        Edge(settings=settings, refusals=refusals, tracing=tracing),
        Connections(store=store, commits=commits, watcher=watcher),
    ]
    if settings.allowed_origins:
        everybody = "*" in settings.allowed_origins
        origins = "*" if everybody else settings.allowed_origins
        middleware.append(falcon.CORSMiddleware(allow_origins=origins))
    app = falcon.asgi.App(middleware=middleware, request_type=Request)
    problems.register(app)

    invoker = Invoker(store=store, commits=commits, watcher=watcher, settings=settings)
    app.add_route("/functions", FunctionList(registry=registry))
    unknown = UnknownFunction(registry=registry)
    app.add_route("/functions/{name}", unknown)
    app.add_route("/functions/{name}/batch", unknown, suffix="batch")
    for function in registry.values():
        resource = FunctionResource(function=function, invoker=invoker, store=store)
        app.add_route(f"/functions/{function.name}", resource)
        app.add_route(f"/functions/{function.name}/batch", resource, suffix="batch")
    app.add_route("/events", Events(registry=registry, invoker=invoker))
    app.add_route("/invocations", InvocationList(store=store))
    app.add_route("/invocations/{invocation_id}", InvocationResource(invoker=invoker))
    app.add_route(
        "/invocations/{invocation_id}/events", InvocationEvents(invoker=invoker, streams=streams)
    )
    app.add_route("/invocations/{invocation_id}/logs", InvocationLogs(invoker=invoker))
    app.add_route("/invocations/{invocation_id}/replay", Replay(registry=registry, invoker=invoker))
    app.add_route("/changes", Changes(watcher=watcher, streams=streams))
    letters = dead_letters.DeadLetters(store=store, registry=registry, settings=settings)
    app.add_route("/dead-letters", dead_letters.DeadLetterList(letters=letters))
    app.add_route("/dead-letters/redrive", dead_letters.RedriveAll(letters=letters))
    app.add_route("/dead-letters/{invocation_id}", dead_letters.DeadLetter(letters=letters))
    app.add_route("/dead-letters/{invocation_id}/redrive", dead_letters.Redrive(letters=letters))
    scheduled = schedules.Scheduled.of(registry, store=store)
    app.add_route("/schedules", schedules.ScheduleList(scheduled=scheduled))
    app.add_route("/schedules/{name}/pause", schedules.Pause(scheduled=scheduled))
    app.add_route("/schedules/{name}/resume", schedules.Resume(scheduled=scheduled))
    app.add_route("/schedules/{name}/run", schedules.RunNow(scheduled=scheduled, invoker=invoker))
    app.add_route("/ping", blog.Ping())
    app.add_route("/create", blog.Create(registry=registry, invoker=invoker))
    app.add_route("/status/{task_id}", blog.TaskStatus(invoker=invoker))
    app.add_route("/healthz", health.Alive())
    app.add_route("/readyz", health.Ready(store=store))
    app.add_route("/", console.Page())
    app.add_route("/console/about.json", console.About(settings=settings))
    app.add_route("/console/{name}", console.Asset())
    app.add_route("/metrics", Metrics(registry=registry, store=store, refusals=refusals))
    app.add_route("/openapi.json", OpenAPI(registry=registry, settings=settings))
    LambdaApi(registry=registry, invoker=invoker).register(app)
    if settings.emulator:
        app.add_route("/_emulator/clock", emulator.ClockResource(store=store))
        app.add_route(
            "/_emulator/clock/advance", emulator.Advance(store=store, scheduled=scheduled)
        )
        app.add_route("/_emulator/reset", emulator.Reset(store=store))
    return app
