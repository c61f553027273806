"""Search spaces: what varies in a recipe, and how; held against the schema before anything runs."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mythos_blocks import load_plugins
from mythos_lab.recipe.compose import compose, validate
from mythos_lab.recipe.documents import read_mapping
from mythos_lab.recipe.errors import RecipeError, from_validation
from mythos_lab.recipe.files import find
from mythos_lab.recipe.interpolation import escaped
from mythos_lab.recipe.paths import field_at, set_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.stores import check_chosen, check_tracker
from mythos_lab.recipe.urls import completed
from mythos_lab.search.budgets.hold import Hold
from mythos_lab.search.imported import load_modules
from mythos_lab.search.named import Named
from mythos_lab.search.pruners import NO_PRUNER, read_pruner
from mythos_lab.search.samplers import AUTO, StudyFacts, read_sampler, resolve_sampler
from mythos_lab.search.samplers.prior import Prior
from mythos_lab.search.spaces.checks import change, check_file
from mythos_lab.search.spaces.definition import ON, StudyFile
from mythos_lab.search.spaces.domains import Census, Choice, Domain, num_points, product
from mythos_lab.search.spaces.expression import Constraint
from mythos_lab.search.spaces.parameters import Parameter, parameters
from mythos_lab.search.spaces.reading import read_domain

ARM = "arm"
"""The Optuna parameter of declared arms."""

STORAGE_VARIABLE = "MYTHOS_STORAGE"
"""The variable that names Optuna's storage where neither the caller nor the file does."""

ARTIFACTS_VARIABLE = "MYTHOS_ARTIFACTS"
"""The variable that names where a study keeps its runs, where its machines share no folder; no file chooses that."""

_MAX_POINTS = 100_000  # of a grid, which are listed
_TRIALS = 20  # where a space has no end of its own


@dataclass(frozen=True)
class Space:
    """A search space, validated.

    Attributes:
        source: Its file.
        file: Its settings.
        base: The composed recipe that varies.
        domains: What varies, by path.
        constraints: Conditions that a candidate has to meet.
        folder: Where the study keeps its journal and its trials.
        storage: Optuna's storage URL, which may hold a password; ``None`` is the journal in the folder.
        artifacts: Where runs are kept for other machines, a path or a URL that fsspec takes; ``None`` where these share
            the folder.
    """

    source: Path
    file: StudyFile
    base: dict[str, Any]
    domains: dict[str, Domain]
    constraints: tuple[Constraint, ...] = ()
    folder: Path = field(default_factory=lambda: Path("studies"))
    storage: str | None = field(default=None, repr=False)
    artifacts: str | None = field(default=None, repr=False)

    def candidate(self, trial: Any) -> dict[str, Any]:
        """The composed recipe of a trial, with a value suggested for every field that varies."""
        config = copy.deepcopy(self.base)
        if self.file.arms:
            variants = self.file.variants
            change(config, variants[trial.suggest_categorical(ARM, list(variants))], str(self.source))
        for path, domain in self.domains.items():
            set_path(Recipe, config, path, domain.suggest(trial, path), source=str(self.source))
        return config

    @property
    def num_points(self) -> int | None:
        """How many candidates there are, where they can be listed."""
        return num_points(self._parameters().values())

    @cached_property
    def points(self) -> list[dict[str, Any]] | None:
        """The parameters of every candidate, where they can be listed."""
        listed = product(self._parameters())
        return None if listed is None else list(listed)

    @cached_property
    def priors(self) -> dict[str, Prior]:
        """What is believed of each Optuna parameter."""
        return {name: prior for path, domain in self.domains.items() for name, prior in domain.priors(path).items()}

    @cached_property
    def census(self) -> Census:
        """How many Optuna parameters there are, and of what sort."""
        return reduce(Census.and_, (domain.census() for domain in self._parameters().values()), Census())

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Every Optuna parameter, by name."""
        return parameters(self._parameters())

    def num_trials(self, wanted: int | None = None) -> int:
        """Trials after which the study is over: as many as are wanted, and no more than a grid has points.

        Args:
            wanted: What the caller says; the file's number, or the grid's, or 20 without.

        Raises:
            RecipeError: The sampler cannot do with so many.
        """
        takes_all = read_sampler(self.file.sampler).kind == "grid" or not self.file.space
        all_points = self.num_points if takes_all else None
        num = wanted or self.file.trials or all_points or _TRIALS
        return min(num, self.num_points or num) if self.sampler(num)[0].kind == "grid" else num

    def facts(self, num_trials: int) -> StudyFacts:
        """What a sampler has to know."""
        return StudyFacts(
            num_trials,
            *self.census,
            finite_size=self.num_points,
            num_objectives=len(self.file.objectives),
            vetoes=bool(self.constraints or self.file.hold),
            prunes=self.pruner.kind != NO_PRUNER,
        )

    def sampler(self, num_trials: int) -> tuple[Named, str]:
        """The sampler of a study of so many trials, and why it is that one.

        Raises:
            RecipeError: It cannot do what the study asks.
        """
        if not self.file.space and read_sampler(self.file.sampler).kind == AUTO:
            return Named("grid"), "declared arms, in their order"
        try:
            named, reason = resolve_sampler(self.file.sampler, self.facts(num_trials), self.priors)
        except ValueError as error:
            raise RecipeError(f"{self.source}: sampler: {error}") from None
        if named.kind == "grid" and self.num_points is not None and self.num_points > _MAX_POINTS:
            raise RecipeError(
                f"{self.source}: sampler: a grid of {self.num_points:,} candidates; at most {_MAX_POINTS:,} are listed"
            )
        return named, reason

    @cached_property
    def holds(self) -> dict[str, Hold]:
        """What every candidate gets, in numbers, by task; under the empty name where the file names no tasks.

        Raises:
            RecipeError: The recipe has nothing of what is to be held.
        """
        if self.file.hold is None:
            return {}
        found = {}
        for task, changes in (self.file.tasks or {"": {}}).items():
            config = copy.deepcopy(self.base)
            change(config, changes, str(self.source))
            try:
                found[task] = self.file.hold.resolved(validate(config, str(self.source)))
            except RecipeError as error:
                raise RecipeError(f"{self.source}: hold.budgets: {error}") from None
        return found

    def hold_of(self, arm: str | None) -> Hold | None:
        """What a candidate gets, by the name of its arm, where it has one."""
        return self.holds.get((arm or "").partition(ON)[2])

    @cached_property
    def pruner(self) -> Named:
        """The pruner, read."""
        return read_pruner(self.file.pruner)

    def _parameters(self) -> dict[str, Domain]:
        arms: dict[str, Domain] = {ARM: Choice(list(self.file.variants))} if self.file.arms else {}
        return {**arms, **self.domains}


def load_space(
    name: str, folder: Path | None = None, storage: str | None = None, artifacts: str | None = None
) -> Space:
    """Load a search space by name or path.

    Args:
        name: One of ours, or a YAML file.
        folder: Where the study keeps its files; ``studies/<name>`` below the working directory without one.
        storage: Optuna's storage URL; the file's without one, or that of ``MYTHOS_STORAGE``.
        artifacts: Where runs are kept for other machines; what ``MYTHOS_ARTIFACTS`` names without one.

    Raises:
        RecipeError: Anything that is wrong with it or with its recipe, one line a mistake. Whether its sampler can do
            with a number of trials is for :meth:`Space.num_trials` to say, as the caller may have another number.
    """
    load_plugins()
    source = find("search_spaces", name)
    content = read_mapping(source, "search space")
    try:
        file = StudyFile.model_validate(content)
    except ValidationError as error:
        raise from_validation(source, error) from None
    try:
        varied = find("recipes", file.recipe, named_by=source)
        base = compose(varied, file.overrides)
    except RecipeError as error:
        raise RecipeError(*(f"{source}: recipe: {line}" for line in error.lines)) from None
    recipe = validate(base, f"{source}: recipe {file.recipe}")
    own = source.absolute().parent
    check_tracker(recipe.tracking.uri, [], [own, varied.absolute().parent], source)
    base["tracking"] = escaped(recipe.tracking.model_dump(mode="json"))  # whatever a reference in it comes to later
    labels: dict[str, Domain] = {}
    domains = {
        path: read_domain(field_at(Recipe, base, path, f"{source}: space"), value, f"{source}: space: {path}", labels)
        for path, value in file.space.items()
    }
    for what, read in (("sampler", read_sampler), ("pruner", read_pruner)):
        try:
            load_modules(getattr(file, what), [source.absolute().parent, Path.cwd()])
            read(getattr(file, what))
        except ValueError as error:
            raise RecipeError(f"{source}: {what}: {error}") from None
    constraints = check_file(source, file, base, recipe, domains, labels)
    folder = (folder or Path("studies") / file.name).absolute()
    named = os.environ.get(STORAGE_VARIABLE) or None
    if not storage:
        remedy = f"say --storage or {STORAGE_VARIABLE}=... as well"
        check_chosen(file.storage, [named], [own, folder], f"{source}: storage", remedy)
    storage = storage or file.storage or named
    storage = completed(storage, STORAGE_VARIABLE) if storage else None
    artifacts = artifacts or os.environ.get(ARTIFACTS_VARIABLE) or None
    space = Space(source, file, base, domains, constraints, folder, storage, artifacts)
    _ = space.holds
    return space
