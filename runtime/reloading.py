"""Reading the functions folder anew when a file in it changes.

See docs/decisions/0019-hot-reload.md.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import structlog

from runtime.function import Function
from runtime.registry import Registry

_PAUSE_SECONDS = 0.2
_SHORT_PAUSE_SECONDS = 0.05
# Editors write in several steps, and several files at once.
_QUIET_SECONDS = 0.1
# A large folder is looked at less often: looking takes at most a hundredth of the time.
_SHARE = 100

Snapshot = Mapping[str, tuple[int, int, int]]

_log = structlog.get_logger("runtime")


@dataclass(slots=True, kw_only=True)
class Reloader:
    """The functions of a folder, and whether they are still what is in its files.

    `has_changed` is to be called again and again, after pauses of `pause_seconds`; when it says so,
    `load`. `is_settled` tells whether the folder was what is loaded when it was last looked at.
    """

    folder: Path
    registry: Registry
    is_settled: bool = True
    pause_seconds: float = _PAUSE_SECONDS
    _loaded: Snapshot
    _seen: Snapshot = field(default_factory=dict)
    _seen_at: float = 0.0

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Load a folder. Raises `DefinitionError` as `Registry.discover` does."""
        loaded = snapshot(folder)
        return cls(folder=folder, registry=Registry.discover(folder), _loaded=loaded)

    def has_changed(self) -> bool:
        """Look at the folder; tell whether it has changed, and does not any more."""
        began_at, began_cpu = time.monotonic(), time.thread_time()
        seen = snapshot(self.folder)
        took_seconds = time.thread_time() - began_cpu
        if seen != self._seen:
            self._seen, self._seen_at = seen, began_at
        self.is_settled = seen == self._loaded
        pause = _PAUSE_SECONDS if self.is_settled else _SHORT_PAUSE_SECONDS
        self.pause_seconds = max(pause, _SHARE * took_seconds)
        return not self.is_settled and began_at - self._seen_at >= _QUIET_SECONDS

    def load(self) -> Registry:
        """Read the folder anew, and say in the log what has become of it."""
        began_at = time.monotonic()
        before, self.registry = self.registry, self.registry.discover_again(self.folder)
        # What changed while it was read is found the next time.
        touched = _touched(self._loaded, self._seen)
        self._loaded, self.is_settled = self._seen, True
        log_failed(self.registry)
        _log.info(
            "functions.reloaded",
            changed=_changed(before, self.registry, touched, self.folder),
            added=[name for name in self.registry if name not in before],
            removed=[name for name in before if name not in self.registry],
            failed=len(self.registry.failed),
            duration_ms=round((time.monotonic() - began_at) * 1000, 3),
        )
        return self.registry


class LiveFunctions(dict[str, Function[..., Any]]):
    """The functions as they are now, and those of the runtime that are there `always`.

    A process that is forked keeps those of that moment.
    """

    def __init__(
        self, reloader: Reloader, *, always: Mapping[str, Function[..., Any]] | None = None
    ) -> None:
        super().__init__()
        self._reloader = reloader
        self._always = dict(always or {})
        self.refresh()

    def refresh(self) -> None:
        """Take what was loaded last."""
        self.clear()
        self.update(self._reloader.registry)
        self.update(self._always)


def log_failed(registry: Registry) -> None:
    """Log each module that could not be used."""
    for failed in registry.failed:
        _log.error(
            "module.failed",
            module=failed.module,
            path=failed.path,
            error=failed.error,
            exception=failed.traceback,
        )


def snapshot(folder: Path) -> Snapshot:
    """Return what tells one state of a folder's Python files from another.

    What an editor or Python itself puts beside them does not count.
    """
    found: dict[str, tuple[int, int, int]] = {}
    folders = [str(folder)]
    while folders:
        # What goes in between is not there, as far as this look can tell.
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__":
                    continue
                if entry.name.endswith(".py"):
                    with contextlib.suppress(OSError):
                        state = entry.stat()
                        found[entry.path] = (state.st_mtime_ns, state.st_size, state.st_ino)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return found


def _touched(before: Snapshot, after: Snapshot) -> set[Path]:
    return {Path(path) for path, _ in set(before.items()) ^ set(after.items())}


def _changed(before: Registry, after: Registry, touched: set[Path], folder: Path) -> list[str]:
    """Return the functions whose module was touched; all, if something was that they may share."""
    both = [name for name in after if name in before and after[name] is not before[name]]
    modules = {_top(folder, function.module) for function in (*after.values(), *before.values())}
    touched_modules = {path.relative_to(folder).with_suffix("").parts[0] for path in touched}
    if not touched_modules <= modules:
        return both
    return [name for name in both if _top(folder, after[name].module) in touched_modules]


def _top(folder: Path, module: str) -> str:
    return module.removeprefix(folder.resolve().name + ".").partition(".")[0]
