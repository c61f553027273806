"""Samplers and pruners by import path: Optuna's, and a user's own."""

import inspect

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search.opening import open_study
from mythos_lab.search.pruners import make_pruner, read_pruner
from mythos_lab.search.samplers import StudyFacts, make_sampler, read_sampler
from mythos_lab.search.spaces.space import load_space
from tests.lab.search.test_foreign import PLAIN
from tests.lab.search.tiny import complete, go_on, write

GRID = {"model.core.depth": [1, 2], "seed": [0, 1]}
NEEDED = {  # arguments that classes of Optuna cannot do without
    "GridSampler": {"search_space": GRID},
    "PartialFixedSampler": {
        "fixed_params": {"seed": 1},
        "base_sampler": {"kind": "import", "path": "optuna.samplers.RandomSampler"},
    },
    "PatientPruner": {"wrapped_pruner": {"kind": "import", "path": "optuna.pruners.MedianPruner"}, "patience": 1},
    "PercentilePruner": {"percentile": 25.0},
    "ThresholdPruner": {"upper": 9.0},
}  # fmt: skip


def classes(module, base):
    found = [getattr(module, name) for name in module.__all__]
    kinds = [each for each in found if inspect.isclass(each) and issubclass(each, base)]
    return [kind.__name__ for kind in kinds if not inspect.isabstract(kind)]


def written(package, name):
    return {"kind": "import", "path": f"optuna.{package}.{name}", **NEEDED.get(name, {})}


@pytest.mark.parametrize("name", classes(optuna.samplers, BaseSampler))
def test_every_sampler_of_optuna_works_a_study_off_by_its_path(here, untrained, name):
    space = {"model.core.depth": {"choice": [1, 2]}, "seed": {"int": [0, 1]}}
    if name == "CmaEsSampler":
        space = PLAIN
    study_space = write(here, space=space, trials=6, sampler=written("samplers", name))
    study = open_study(study_space)
    go_on(study_space, study)
    assert len(complete(study)) == 6, "more than a finite space has points"
    assert study.user_attrs["sampler"] == written("samplers", name)


@pytest.mark.parametrize("name", classes(optuna.pruners, BasePruner))
def test_every_pruner_of_optuna_can_be_taken_by_its_path(name):
    assert isinstance(make_pruner(read_pruner(written("pruners", name))), getattr(optuna.pruners, name))


def test_arguments_may_be_objects_and_functions():
    options = {"crossover": {"kind": "import", "path": "optuna.samplers.nsgaii.UniformCrossover", "swapping_prob": 0.3}}
    facts = StudyFacts(9, 1)
    named = read_sampler({"kind": "import", "path": "optuna.samplers.NSGAIISampler", **options})
    made = make_sampler(named, facts, seed=3)._sampler
    assert made._child_generation_strategy._crossover._swapping_prob == 0.3
    gamma = {"kind": "import", "path": "optuna.samplers._tpe.sampler.hyperopt_default_gamma"}
    named = read_sampler({"kind": "import", "path": "optuna.samplers.TPESampler", "gamma": gamma})
    assert make_sampler(named, facts, seed=3)._sampler._gamma is optuna.samplers._tpe.sampler.hyperopt_default_gamma


OWN = """
from optuna.samplers import BaseSampler, RandomSampler

class Mine(RandomSampler):
    pass

class Broken(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        raise KeyError("of its own")

def make(seed=None, share=0.5):
    return Mine(seed)

def nothing():
    return 3
"""


@pytest.mark.parametrize("sampler", ["Mine", "make"])
def test_a_sampler_of_ones_own_lies_beside_the_study_and_each_worker_has_its_seed(here, untrained, sampler):
    (here / f"beside_{sampler}.py").write_text(OWN)
    fields = {"space": PLAIN, "trials": 2, "sampler": {"kind": "import", "path": f"beside_{sampler}.{sampler}"}}
    space = write(here, **fields)
    made = [make_sampler(space.sampler(2)[0], space.facts(2), seed=0, worker=w)._sampler for w in (0, 1)]
    assert made[0]._rng.rng.random() != made[1]._rng.rng.random()
    go_on(space, study := open_study(space))
    assert len(complete(study)) == 2


def test_one_that_fails_ends_the_study_in_one_line(here, untrained):
    (here / "failing.py").write_text(OWN)
    space = write(here, space=PLAIN, trials=2, sampler={"kind": "import", "path": "failing.Broken"})
    with pytest.raises(Misplaced, match="sampler: failing.Broken fails: KeyError: 'of its own'"):
        go_on(space, open_study(space))


@pytest.mark.parametrize(
    "what, given, message",
    [
        ("sampler", {}, "path: expected package.module.Class, found None"),
        ("sampler", {"path": "Mine"}, "path: expected package.module.Class, found 'Mine'"),
        ("sampler", {"path": "nowhere.Mine"}, "cannot import 'nowhere'"),
        ("sampler", {"path": "optuna.samplers.TPESample"}, "has no 'TPESample'; did you mean 'TPESampler'?"),
        ("sampler", {"path": "optuna.pruners.MedianPruner"}, "is no sampler; expected the path of a subclass of optuna's"),
        ("sampler", {"path": "refused.nothing"}, "refused.nothing is no sampler"),
        ("sampler", {"path": "optuna.samplers"}, "optuna.samplers is no sampler"),
        ("sampler", {"path": "optuna.samplers.TPESampler", "n_ei_candidate": 2}, "unknown argument 'n_ei_candidate'; did you mean 'n_ei_candidates'"),
        ("sampler", {"path": "optuna.samplers.GridSampler"}, "TypeError: .*search_space"),
        ("sampler", {"path": "optuna.samplers.QMCSampler", "qmc_type": "x"}, "ValueError: The `qmc_type='x'`"),
        ("pruner", {"path": "optuna.samplers.TPESampler"}, "is no pruner"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_or_is_none_is_refused_in_one_line(here, what, given, message):
    (here / "refused.py").write_text(OWN)
    with pytest.raises(RecipeError, match=message) as refused:
        write(here, space=PLAIN, **{what: {"kind": "import", **given}})
    assert len(refused.value.lines) == 1 and f"tiny.yaml: {what}: " in refused.value.lines[0]


def test_a_path_alone_is_answered_with_how_it_is_written(here):
    with pytest.raises(RecipeError, match=r"expected \{kind: import, path: optuna.samplers.TPESampler\}"):
        write(here, space=PLAIN, sampler="optuna.samplers.TPESampler")
    with pytest.raises(RecipeError, match="seed.* is not offered: the study's own is used"):
        write(here, space=PLAIN, sampler={"kind": "import", "path": "optuna.samplers.RandomSampler", "seed": 1})
        load_space("tiny.yaml").num_trials()
