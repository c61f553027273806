"""A recipe together with what its ``defaults`` list brings, composed by Hydra from files that our reader reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mythos_lab.recipe.brought import check_brought, named_by
from mythos_lab.recipe.documents import plain, read_mapping
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import config_groups, data_dir

# OmegaConf would check references, and follow them before anything has been overridden.
_REFERENCE, _HIDDEN = "${", "\ue000{"


class Folder(ConfigSource):
    """A folder of recipes and config groups, for Hydra; ``mythos://`` and the folder's path."""

    @staticmethod
    def scheme() -> str:
        return "mythos"

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return self._place(config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        place = self._place(config_path)
        groups = [path.name for path in place.iterdir() if path.is_dir()]
        configs = [path.stem for path in place.glob("*.yaml")]
        if results_filter is not None:
            return sorted(groups if results_filter is ObjectType.GROUP else configs)
        return sorted({*groups, *configs})

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._file(config_path)
        content = _changed(read_mapping(path, "recipe"), _hidden)
        try:
            header = self._get_header_dict(path.read_text(encoding="utf-8")[:512])
        except ValueError as error:
            raise RecipeError(f"{path}: {error}") from None
        return ConfigResult(self.provider, f"{self.scheme()}://{self.path}", OmegaConf.create(content), header)

    def _place(self, config_path: str) -> Path:
        return Path(self.path) / config_path.lstrip("/")

    def _file(self, config_path: str) -> Path:
        place = self._place(config_path)
        return place if place.suffix in (".yaml", ".yml") else place.with_name(f"{place.name}.yaml")


_places: ContextVar[tuple[Path, ...]] = ContextVar("places", default=())


class Places(SearchPathPlugin):
    """Has Hydra look where the recipe that is composed says; an override could not name every folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for place in _places.get():
            search_path.append("mythos", f"{Folder.scheme()}://{place}")


def with_defaults(path: Path, groups: Sequence[str] = ()) -> dict[str, Any]:
    """The recipe of a file as composed, references unfollowed.

    Config groups are looked for beside the file, then among ours.

    Args:
        path: The file.
        groups: Choices, ``group=choice``.

    Raises:
        RecipeError: Anything that Hydra or the reader refuses.
    """
    roots = path.absolute().parent, data_dir("recipes")
    check_brought(path, groups, roots)
    for plugin in (Folder, Places):
        Plugins.instance().register(plugin)
    token = _places.set(roots)
    try:
        with initialize(config_path=None, job_name="mythos", version_base="1.3"):
            try:
                config = hydra_compose(path.name, list(groups))
            except ConfigCompositionException:
                # Where the recipe has no default of a group, the choice comes on top; else this fails as before.
                config = hydra_compose(path.name, [f"+{group}" for group in groups])
            container = OmegaConf.to_container(config)
    except (HydraException, OmegaConfBaseException, AssertionError, TypeError, ValueError) as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(
            f"{path}: defaults: {' '.join(str(error).replace(_HIDDEN, _REFERENCE).split())[:300]}"
        ) from None
    finally:
        _places.reset(token)
    assert isinstance(container, dict)
    shown = _changed({str(key): value for key, value in container.items()}, _shown)
    return dict(plain(shown, str(path)))


def choices_for(path: Path) -> dict[str, list[str]]:
    """The config groups that a recipe can choose from, with their choices.

    A group may have a folder for each recipe, as sizes do: whose defaults have ``/size: huginn/tiny`` chooses
    ``size=small`` for what lies beside it, ``huginn/small``.
    """
    roots = list(dict.fromkeys((path.absolute().parent, data_dir("recipes"))))
    found: dict[str, list[str]] = {}
    for root in roots:
        for group, choices in config_groups(root).items():
            found.setdefault(group, []).extend(choices)
    for group, folder in _folders(path).items():
        for root in roots:
            found.setdefault(group, []).extend(sorted(each.stem for each in (root / group / folder).glob("*.yaml")))
    return found


def chosen_for(path: Path, groups: Sequence[str]) -> list[str]:
    """Choices of config groups, ``group=choice``, with the folder of each that lies in the recipe's own."""
    roots, folders = (path.absolute().parent, data_dir("recipes")), _folders(path)
    found = []
    for text in groups:
        group, _, choice = text.partition("=")
        place = Path(group) / folders[group] / f"{choice}.yaml" if group in folders else None
        own = place is not None and any((root / place).is_file() for root in roots)
        found.append(f"{group}={folders[group]}/{choice}" if own else text)
    return found


def _folders(path: Path) -> dict[str, str]:
    """The folder of each group in whose folders a recipe's defaults choose."""
    named = (entry.rpartition("/") for entry in named_by(read_mapping(path, "recipe")))
    inside = (place.lstrip("/").partition("/") for place, _, _ in named)
    return {group: folder for group, _, folder in inside if folder}


def _hidden(text: str) -> str:
    return text.replace(_REFERENCE, _HIDDEN)


def _shown(text: str) -> str:
    return text.replace(_HIDDEN, _REFERENCE)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text in it changed; keys are texts, too."""
    if isinstance(value, dict):
        return {_changed(key, change): _changed(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
