"""Which components exist: slots, the kinds in each, and how packages of others add to them."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mythos_blocks.declaring.component import Component

PLUGIN_GROUP = "mythos.components"


@dataclass
class SlotInfo:
    """A slot and the kinds registered in it.

    Attributes:
        name: The slot's name in a recipe.
        summary: One sentence on what a component in it does.
        off: The kind that removes the component, where there is one.
        default: The kind that a mapping without ``kind`` means, where there is one.
        kinds: The registered components by kind.
        contract: The base class that says how components of the slot are called, where there is one.
    """

    name: str
    summary: str
    off: str | None = None
    default: str | None = None
    kinds: dict[str, type[Component]] = field(default_factory=dict)
    contract: type[Component] | None = None


_slots: dict[str, SlotInfo] = {}
_plugins_loaded = False


def declare_slot(name: str, summary: str, *, off: str | None = None, default: str | None = None) -> None:
    """Make a slot known, so that components can be registered in it."""
    if name in _slots:
        raise ValueError(f"slot {name!r} is declared already")
    _slots[name] = SlotInfo(name, summary, off, default)


def slots() -> dict[str, SlotInfo]:
    """Every slot by name."""
    return dict(sorted(_slots.items()))


def slot_info(slot: str) -> SlotInfo:
    """The slot of that name; ``ValueError`` with the nearest one where there is none."""
    if slot not in _slots:
        raise ValueError(f"unknown slot {slot!r}; {suggest(slot, _slots)}")
    return _slots[slot]


def register(slot: str, kind: str, cls: type[Component]) -> None:
    """Put a component into a slot. A kind that is taken by another class is a ``ValueError``."""
    kinds = slot_info(slot).kinds
    taken = kinds.get(kind)
    if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"{slot} {kind!r} is registered already, by {taken.__module__}.{taken.__qualname__}")
    kinds[kind] = cls


def lookup(slot: str, kind: str) -> type[Component]:
    """The component of that kind; ``ValueError`` with the nearest kind where there is none."""
    kinds = slot_info(slot).kinds
    if kind not in kinds:
        raise ValueError(f"unknown {slot} {kind!r}; {suggest(kind, kinds)}")
    return kinds[kind]


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, if one is near, and all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.5)
    listed = f"one of: {', '.join(names)}" if names else "none is known"
    return f"did you mean {near[0]!r}? ({listed})" if near else listed


def load_plugins() -> None:
    """Import what installed packages declare under the entry-point group ``mythos.components``.

    An entry point names a module; importing it registers its components. Called once per process.
    """
    global _plugins_loaded
    if _plugins_loaded:
        return
    _plugins_loaded = True
    for entry in entry_points(group=PLUGIN_GROUP):
        entry.load()


def load_imports(modules: Iterable[str], folders: Sequence[Path] = ()) -> None:
    """Import the modules that a recipe names under ``imports:``.

    Args:
        modules: Their names.
        folders: Where to look for what Python does not find: such a folder is put behind its own places, so that what
            lies in it hides nothing, and stays there for what the module imports later.

    Raises:
        ValueError: One is no name of a module, is not found, or fails; with the line that failed.
    """
    for module in modules:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ValueError(f"{module!r} is no module's name; expected one such as package.module")
        make_findable(module.split(".")[0], folders)
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                raise ValueError(f"cannot import {module!r}: {error}") from error
            raise ValueError(f"{module!r} fails: {_failure(error)}") from error


def make_findable(package: str, folders: Sequence[Path]) -> Path | None:
    """Have Python find a package in one of the folders, if it finds it nowhere; the folder that was added.

    What lies there is compiled from its source whenever it is imported: bytecode beside it need not be of that source.
    """
    if package in sys.modules or importlib.util.find_spec(package) is not None:
        return None
    for folder in folders:
        if (folder / f"{package}.py").is_file() or (folder / package).is_dir():
            _from_source.add(str(folder.absolute()))
            if _finder not in sys.path_hooks:
                sys.path_hooks.insert(0, _finder)
            sys.path_importer_cache.pop(str(folder.absolute()), None)
            sys.path.append(str(folder.absolute()))
            importlib.invalidate_caches()
            return folder
    return None


_from_source: set[str] = set()


class _Source(SourceFileLoader):
    """Compiles a module's source, whatever bytecode lies beside it."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _finder(path: str) -> FileFinder:
    """Python's own finder, for sources and extensions of the folders that were put behind its places."""
    if not any(path == folder or path.startswith(f"{folder}{os.sep}") for folder in _from_source):
        raise ImportError(path)
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Source, SOURCE_SUFFIXES))


def _failure(error: BaseException) -> str:
    """An exception in one line, with the last line of the code that raised it."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    return f"{said} ({inner[-1].filename}, line {inner[-1].lineno})" if inner else said
