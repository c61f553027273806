"""The code that a recipe brings, modules under ``imports:`` and installed plug-ins, by hashes of its source."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from mythos_blocks.declaring.registry import PLUGIN_GROUP, make_findable
from mythos_lab.imports import ALLOWED, OPTION, is_allowed
from mythos_lab.recipe.places import leads_into

_IMPORTED = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)  # ends of names of what is executed
_OURS = ("mythos_lab", "mythos_blocks", "mythos_kernels")  # whose source has a hash of its own
_MAX_SOURCE = 2**20  # bytes of a file
_MAX_ARCHIVE = 2**23  # bytes of all files together
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # a zip knows none before it

SOURCES = "code.zip"
"""The file of a run, and of a study, with the source of what it imported: to be read, and imported from nowhere."""

LEFT_OUT = "left_out.txt"
"""In that file, where there is one: the sources that are not in it, and why."""

_digests: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


def imported_code(imports: Iterable[str]) -> dict[str, str]:
    """A hash of the source behind each module that a recipe imports, and behind each installed plug-in, by its name.

    What counts is all of the package that a module is in, and whatever either imports that is not installed: a file
    beside it, for example. A module has the hash that its source had when this was first asked of it, which is
    soon after it was imported; what is edited later is not what this process runs.

    Args:
        imports: Names of modules that have been imported.
    """
    return {name: _digest(sys.modules[name]) for name in sorted({*_loaded(imports), *_loaded(_plugins())})}


def archive(imports: Iterable[str]) -> bytes | None:
    """A zip of the Python source behind what :func:`imported_code` has hashes of; ``None`` where there is none to keep.

    Equal sources give equal bytes. Of what is installed there are the packages of plug-ins alone: all else has a
    version. Nothing is kept but files ``*.py`` within their package, none of them hidden or in a hidden folder; those
    that are too large to be somebody's source, and all beyond 8 MiB, are named in :data:`LEFT_OUT`.
    """
    plugins = {_top(name) for name in _plugins()}
    found: dict[str, Path] = {}
    for name in (*_loaded(imports), *_loaded(_plugins())):
        found |= dict(_sources(name))
    kept, left, total = dict[str, bytes](), list[str](), 0
    for said, path in sorted(found.items()):
        if not _may_be_kept(said, path) or (_is_installed(path) and _top(said.replace("/", ".")) not in plugins):
            continue
        size = path.stat().st_size
        if size > _MAX_SOURCE or total + size > _MAX_ARCHIVE:
            left.append(f"{said}: {size:,} bytes, {'too large' if size > _MAX_SOURCE else 'beyond 8 MiB in all'}\n")
            continue
        kept[said] = path.read_bytes()
        total += size
    if left:
        kept[LEFT_OUT] = "".join(left).encode()
    if not kept:
        return None
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for said, content in kept.items():
            file.writestr(zipfile.ZipInfo(said, _NO_TIME), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def kept_source(folder: Path, module: str) -> str | None:
    """Where a run's folder, or that of its study, has the source that a module had; ``None`` where neither has it."""
    for place in (folder, *list(folder.absolute().parents)[2:3]):  # a study has it for studies/NAME/trials/0000/seed-0
        try:
            with zipfile.ZipFile(place / SOURCES) as file:
                tops = {name.partition("/")[0].removesuffix(".py") for name in file.namelist()}
        except (OSError, zipfile.BadZipFile):
            continue
        if _top(module) in tops:
            return str(place / SOURCES)
    return None


def said_of_kept(folder: Path, written: Mapping[str, str]) -> str:
    """Where the folder of a run has the source of modules that are not here, or are others; empty where nowhere.

    Args:
        folder: The run's.
        written: The hashes that it has recorded.
    """
    others = [name for name, was in written.items() if name not in sys.modules or _digest(sys.modules[name]) != was]
    kept = [f"the source of {name!r} as it was is in {path}" for name in others if (path := kept_source(folder, name))]
    return "; ".join(kept)


def changes(was: Mapping[str, str], now: Mapping[str, str], folder: Path | None = None) -> list[str]:
    """Which imported modules have other source than they had, a line each; and where the ``folder`` has the old one."""
    return [
        f"imports: the source of {name!r} has changed since: was {was.get(name, 'not there')}, "
        f"is {now.get(name, 'not there')}"
        + (f" (as it was: {kept})" if folder is not None and (kept := kept_source(folder, name)) else "")
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]


def source_digest(name: str) -> str | None:
    """The hash that a module has by the sources that would be imported, which are not; ``None`` where there are none.

    Args:
        name: Of a module that Python finds.
    """
    digest, found = hashlib.sha256(), sorted(_sources(name))
    for said, path in found:
        digest.update(f"{said}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16] if found else None


def hold_recorded(modules: Iterable[str], written: Mapping[str, str], folders: Sequence[Path]) -> None:
    """Refuse to import modules whose sources are not those that a run has recorded.

    Args:
        modules: Names of modules that have not been imported.
        written: The recorded hashes, by name.
        folders: Where they are looked for, behind Python's own places.

    Raises:
        ValueError: One is another, or none is recorded; nothing has been imported.
    """
    for name in modules:
        if not all(part.isidentifier() for part in name.split(".")) or _top(name) in _OURS:
            continue  # the first of which importing it says
        put = make_findable(_top(name), folders)
        now = source_digest(name)
        if now is not None and (now == written.get(name) or is_allowed(name)):
            continue
        place = next((str(path) for _, path in sorted(_sources(name))), "no source")
        if put is not None:
            sys.path.remove(str(put.absolute()))
        raise ValueError(
            f"{name!r} ({place}) is not the module that the run was made with: was "
            f"{written.get(name, 'not recorded')}, is {now or 'not there'}; it has not been imported: put the old one "
            f"back, look with {OPTION}, or set {ALLOWED}={name} to have it run"
        )


def _plugins() -> set[str]:
    """Modules that installed packages declare, but for our own."""
    return {entry.module for entry in entry_points(group=PLUGIN_GROUP) if _top(entry.module) not in _OURS}


def _loaded(names: Iterable[str]) -> list[str]:
    return [name for name in names if name in sys.modules and _top(name) not in _OURS]


def _may_be_kept(said: str, path: Path) -> bool:
    """Whether a file is plain source of a package: its name within the package, and where it lies."""
    *folders, name = said.split("/")
    is_plain = path.suffix == ".py" and not any(part.startswith(".") for part in (*folders, name))
    return is_plain and (not folders or leads_into(path, path.parents[len(folders) - 1]))


def _digest(module: ModuleType) -> str:
    if module not in _digests:
        _digests[module] = source_digest(module.__name__) or "no source"
    return _digests[module]


def _sources(name: str) -> set[tuple[str, Path]]:
    """The source files behind a module, with a name for each that does not depend on where they lie."""
    found: set[tuple[str, Path]] = set()
    waiting, seen = [_top(name)], set(_OURS)
    while waiting:
        top = waiting.pop()
        if top in seen:
            continue
        seen.add(top)
        files = set(_files(top))
        # Of what is installed, only the module itself: what it requires has versions.
        if not files or (found and _is_installed(next(iter(files))[1])):
            continue
        found |= files
        waiting += [other for _, path in files for other in _imports(path) if other not in sys.stdlib_module_names]
    return found


def _files(top: str) -> Iterator[tuple[str, Path]]:
    """The source files of a package, or of a module that is in none."""
    spec = importlib.util.find_spec(top) if top not in sys.modules else sys.modules[top].__spec__
    if spec is None:
        return
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in folder.rglob("*"):
            if path.name.endswith(_IMPORTED):
                yield f"{top}/{path.relative_to(folder).as_posix()}", path
    if not spec.submodule_search_locations and spec.origin is not None and spec.origin.endswith(_IMPORTED):
        yield f"{top}{''.join(Path(spec.origin).suffixes)}", Path(spec.origin)


def _imports(path: Path) -> Iterator[str]:
    """Top-level names of what a file imports, wherever in it."""
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (_top(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield _top(node.module)


def is_installed(package: str) -> bool:
    """Whether a package is Python's own, or installed with it, and not one that lies beside somebody's work."""
    if package in sys.stdlib_module_names or package in sys.builtin_module_names:
        return True
    files = [path for _, path in _files(package)]
    return not files or _is_installed(files[0])


def _is_installed(path: Path) -> bool:
    return any(path.is_relative_to(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))


def _top(name: str) -> str:
    return name.partition(".")[0]
