"""Steps on what was said of functions through the Lambda API, for all calls that come after it."""

from runtime.event_invoke import EventInvokeConfig
from runtime.store.keys import EVENT_INVOKE_CONFIGS
from runtime.store.step import Step, script


def read_event_invoke(function: str) -> Step[EventInvokeConfig | None]:
    """Read what was said of a function's asynchronous calls; None if nothing was."""
    return Step(
        arguments=("HGET", EVENT_INVOKE_CONFIGS, function),
        parse=lambda reply: EventInvokeConfig.decode(reply) if reply is not None else None,
    )


def put_event_invoke(function: str, config: EventInvokeConfig) -> Step[int]:
    """Put this in place of all that was said before; the answer is 0 if anything was."""
    return Step(arguments=("HSET", EVENT_INVOKE_CONFIGS, function, config.encode()), parse=int)


def replace_event_invoke(
    function: str, before: EventInvokeConfig, after: EventInvokeConfig
) -> Step[bool]:
    """Put this in place of what was read; False if somebody has changed that meanwhile."""
    return Step(
        script=script("replace_config"),
        keys=(EVENT_INVOKE_CONFIGS,),
        arguments=(function, before.encode(), after.encode()),
        parse=bool,
    )


def delete_event_invoke(function: str) -> Step[bool]:
    """Forget what was said; False if nothing was."""
    return Step(arguments=("HDEL", EVENT_INVOKE_CONFIGS, function), parse=bool)
