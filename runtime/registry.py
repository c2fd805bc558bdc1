"""The functions of one folder, found by importing its modules."""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Self

from runtime.errors import DefinitionError, UnknownFunctionError
from runtime.function import Function
from runtime.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedModule:
    """A module of the functions folder that could not be used; the others still are."""

    module: str
    path: str
    error: str
    traceback: str

    def to_json(self) -> dict[str, str]:
        return {
            "module": self.module,
            "path": self.path,
            "error": self.error,
            "traceback": self.traceback,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry(Mapping[str, Function[..., Any]]):
    """Functions by name, in the order of their names, and the modules that failed."""

    functions: Mapping[str, Function[..., Any]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    failed: tuple[FailedModule, ...] = ()

    @classmethod
    def of(cls, functions: Iterable[Function[..., Any]]) -> Self:
        """Make a registry of functions whose names differ."""
        by_name = {function.name: function for function in functions}
        return cls(functions=MappingProxyType(dict(sorted(by_name.items()))))

    @classmethod
    def discover(cls, folder: Path) -> Self:
        """Import every module and package of `folder` and collect the functions they define.

        Names that start with `_` or `test_` are skipped. The folder is imported as a package of
        its own name, so `from functions.fib import fib` is the same object. A module that raises
        on import, or defines a function whose name is taken, becomes a `FailedModule`.

        Raises `DefinitionError` if the folder does not exist or its name cannot be imported.
        """
        folder = folder.resolve()
        _make_importable(folder)
        functions: dict[str, Function[..., Any]] = {}
        failed: list[FailedModule] = []
        for path in _module_paths(folder):
            name = f"{folder.name}.{path.stem}"
            try:
                found = list(_functions_of(name))
                _refuse_taken_names(found, functions)
            # A module may raise anything on import, SystemExit included.
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                failed.append(_failed(name, path, error))
            else:
                functions.update((f.name, f) for f in found)
        return cls(
            functions=MappingProxyType(dict(sorted(functions.items()))), failed=tuple(failed)
        )

    def discover_again(self, folder: Path) -> Self:
        """Read `folder` anew: modules are imported once more, as new modules.

        What a module that fails now defined before, stays as it was. If the folder as a whole
        cannot be used any more, everything does. Code that runs keeps the modules that it has.
        """
        folder = folder.resolve()
        before = _take_out(folder.name)
        _forget_bytecode(folder)
        found: Self | None = None
        try:
            found = type(self).discover(folder)
        except DefinitionError as error:
            cause = error.__cause__ or error
            failed = _failed(folder.name, folder, cause)
            return type(self)(functions=self.functions, failed=(failed,))
        finally:
            _put_back(folder.name, before, everything=found is None)
        kept = {
            name: function
            for name, function in self.functions.items()
            if name not in found.functions and found.has_failed(function.module)
        }
        functions = dict(sorted((kept | dict(found.functions)).items()))
        return type(self)(functions=MappingProxyType(functions), failed=found.failed)

    def has_failed(self, module: str) -> bool:
        """Tell whether a module, or the package that it is in, could not be used."""
        return any((module + ".").startswith(failed.module + ".") for failed in self.failed)

    def find(self, name: str) -> Function[..., Any]:
        """Return a function, or raise `UnknownFunctionError` naming those that exist."""
        try:
            return self.functions[name]
        except KeyError:
            raise UnknownFunctionError(name, tuple(self.functions)) from None

    def subscribers(self, event_type: str) -> list[Function[..., Any]]:
        """Return the functions that are subscribed to events of this type, in order."""
        return [one for one in self.functions.values() if one.is_subscribed_to(event_type)]

    def scheduled(self) -> list[tuple[Function[..., Any], Schedule]]:
        """Return the functions that run by themselves, in order, with their schedules."""
        return [(one, one.schedule) for one in self.functions.values() if one.schedule is not None]

    def __getitem__(self, name: str) -> Function[..., Any]:
        return self.functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.functions)

    def __len__(self) -> int:
        return len(self.functions)


def _module_paths(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(("_", ".", "test_"))
        and (path.suffix == ".py" or (path / "__init__.py").is_file())
    )


def _make_importable(folder: Path) -> None:
    if not folder.is_dir():
        raise DefinitionError(
            f"there is no functions folder at {folder}: create it, or set EYAS_FUNCTIONS_DIR"
        )
    if not folder.name.isidentifier():
        raise DefinitionError(
            f"{folder.name!r} cannot be imported as a package: "
            "a functions folder is named like a Python module"
        )
    importlib.invalidate_caches()
    loaded = sys.modules.get(folder.name)
    if loaded is None and folder.name not in sys.stdlib_module_names:
        _load_package(folder)
    elif str(folder) not in [str(Path(place).resolve()) for place in _places_of(loaded)]:
        raise DefinitionError(
            f"the functions folder {folder} is hidden by another module of the same name "
            f"({getattr(loaded, '__file__', None) or 'of the standard library'}): rename it"
        )


def _take_out(package: str) -> dict[str, ModuleType]:
    """Let the modules of a package be imported anew; return those that there were."""
    return {
        name: sys.modules.pop(name)
        for name in list(sys.modules)
        if name == package or name.startswith(package + ".")
    }


def _put_back(package: str, before: Mapping[str, ModuleType], *, everything: bool) -> None:
    """Have modules again that could not be imported anew, unless their files are gone."""
    if everything:
        _take_out(package)
    for name, module in before.items():
        file = getattr(module, "__file__", None)
        if everything or (name not in sys.modules and file is not None and Path(file).exists()):
            sys.modules[name] = module


def _forget_bytecode(folder: Path) -> None:
    # Of two versions of the same size, written in the same second, Python would take the first.
    for source in folder.rglob("*.py"):
        with contextlib.suppress(OSError):
            Path(importlib.util.cache_from_source(source)).unlink(missing_ok=True)


def _places_of(module: ModuleType | None) -> Iterable[str]:
    return getattr(module, "__path__", ())


def _load_package(folder: Path) -> None:
    """Make exactly this folder the package of its name, whatever else on `sys.path` has it."""
    file = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        folder.name, file if file.is_file() else None, submodule_search_locations=[str(folder)]
    ) or importlib.machinery.ModuleSpec(folder.name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    package = importlib.util.module_from_spec(spec)
    sys.modules[folder.name] = package
    if spec.loader is not None:
        try:
            spec.loader.exec_module(package)
        except BaseException as error:
            del sys.modules[folder.name]
            if isinstance(error, KeyboardInterrupt):
                raise
            raise DefinitionError(
                f"{file} cannot be imported: {type(error).__name__}: {error}"
            ) from error


def _functions_of(module_name: str) -> Iterator[Function[..., Any]]:
    module = importlib.import_module(module_name)
    for value in vars(module).values():
        # What a module imported from another one belongs to the other one.
        if isinstance(value, Function) and (value.module + ".").startswith(module_name + "."):
            yield value


def _refuse_taken_names(
    found: Iterable[Function[..., Any]], functions: Mapping[str, Function[..., Any]]
) -> None:
    names = dict(functions)
    for function in found:
        other = names.setdefault(function.name, function)
        if other is not function:
            raise DefinitionError(
                f"function {function.name!r} is already defined in {other.module}"
            )


def _failed(module: str, path: Path, error: BaseException) -> FailedModule:
    # Frames above the user's module are those of discovery and of the import system.
    frames = traceback.extract_tb(error.__traceback__)
    inside = [
        frame
        for frame in frames
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    described = traceback.TracebackException.from_exception(error)
    described.stack = traceback.StackSummary.from_list(inside)
    return FailedModule(
        module=module,
        path=str(path),
        error="".join(described.format_exception_only()).strip().splitlines()[-1],
        traceback="".join(described.format()),
    )
