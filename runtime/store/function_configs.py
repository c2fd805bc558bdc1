"""Steps on what was said of functions through the Lambda API, for all calls that come after it."""

from runtime.event_invoke import EventInvokeConfig
from runtime.store.keys import EVENT_INVOKE_CONFIGS, RESERVED_CONCURRENCY
from runtime.store.scripts import script
from runtime.store.step import Step


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


def read_reserved(function: str) -> Step[int | None]:
    """Read how many attempts are reserved for a function; None if any number may run."""
    return Step(
        arguments=("HGET", RESERVED_CONCURRENCY, function),
        parse=lambda reply: int(reply) if reply is not None else None,
    )


def reserve(function: str, attempts: int | None) -> Step[None]:
    """Let no more attempts of a function run at a time, or with None any number again.

    What waits and may run now is queued. What a worker had claimed before is not concerned.
    """
    return Step(
        script=script("reserve"),
        arguments=(function, "" if attempts is None else attempts),
        parse=lambda _: None,
    )


def is_throttled(function: str, *, unless_used: str | None) -> Step[bool]:
    """Tell whether all attempts run that are reserved for a function.

    `unless_used` is the key of the caller's idempotency key: if that was used, it is False.
    """
    return Step(
        script=script("throttled"),
        keys=(unless_used,) if unless_used is not None else (),
        arguments=(function,),
        parse=bool,
    )
