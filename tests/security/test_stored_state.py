"""What lies in a store is read as data: a pickle that was put there is not executed."""

import ast
import json
import pickle
from pathlib import Path

import optuna
import pytest
from optuna.samplers import BaseSampler, CmaEsSampler, PartialFixedSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search.foreign import Shielded
from mythos_lab.search.samplers import StudyFacts, make_sampler, read_sampler
from mythos_lab.search.samplers.cma_state import PlainState


class Program:
    """What leaves a marker when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


class Own(CmaEsSampler):
    """A sampler that a user has derived."""


FACTS = StudyFacts(20, 2)
SAMPLERS = {
    "by name": lambda: make_sampler(read_sampler("cmaes"), FACTS, seed=0),
    "by its import path": lambda: make_sampler(read_sampler({"kind": "import", "path": "optuna.samplers.CmaEsSampler"}), FACTS, seed=0),
    "wrapped": lambda: PartialFixedSampler({"y": 0.5}, CmaEsSampler(seed=0)),
    "derived": lambda: Own(seed=0),
}  # fmt: skip


def objective(trial):
    return sum(trial.suggest_float(name, 0, 1) ** 2 for name in "xyz")


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)
def test_a_pickle_in_a_trial_is_refused_and_not_executed(make, tmp_path):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    study = optuna.create_study(storage=storage, sampler=make())
    study.optimize(objective, n_trials=3)
    planted = pickle.dumps(Program(tmp_path / "executed")).hex()
    trial = study.ask()
    storage.set_trial_system_attr(trial._trial_id, "cma:optimizer:0", planted)
    study.tell(trial, objective(trial))
    with pytest.raises(Misplaced, match="the state of cmaes in a trial is none of ours .a pickle, which is not read"):
        study.optimize(objective, n_trials=1)
    assert not (tmp_path / "executed").exists()


class Unpickling(BaseSampler):
    """A sampler of others that keeps a pickle in the store, as some do."""

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        pickle.loads(bytes.fromhex(study.user_attrs["state"]))
        return {}

    def sample_independent(self, study, trial, name, distribution):
        return 0.5


def test_a_sampler_by_import_path_is_stopped_where_it_would_unpickle(tmp_path):
    study = optuna.create_study()
    study.sampler = Shielded(Unpickling(), None)
    study.set_user_attr("state", pickle.dumps([1, {"a": 2.0}]).hex())
    study.ask().suggest_float("x", 0, 1)
    study.set_user_attr("state", pickle.dumps(Program(tmp_path / "executed")).hex())
    with pytest.raises(Misplaced, match="a sampler or a pruner would unpickle .*open"):
        study.ask().suggest_float("x", 0, 1)
    assert not (tmp_path / "executed").exists()
    pickle.loads(pickle.dumps(Path(".")))  # elsewhere one may


KINDS = {"cma": {}, "sepcma": {"use_separable_cma": True}, "cmawm": {"with_margin": True}, "lr": {"lr_adapt": True}}


def stepped(trial):
    return objective(trial) + trial.suggest_int("k", 0, 4) + trial.suggest_float("s", 0, 1, step=0.25)


@pytest.fixture
def pickled(monkeypatch):
    """Optuna's own way of keeping the state."""
    return lambda: monkeypatch.setattr(optuna.samplers._cmaes, "pickle", pickle)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_the_plain_state_proposes_what_the_pickled_one_does(options, pickled):
    found = []
    for prepare in (lambda: None, pickled):
        prepare()
        study = optuna.create_study(sampler=CmaEsSampler(seed=1, **options))
        study.optimize(stepped, n_trials=30)
        found.append(study.trials_dataframe()["value"].tolist())
        stored = [value for trial in study.trials for name, value in trial.system_attrs.items() if "optimizer" in name]
        assert len(stored) > 1
    assert found[0] == found[1]


def state():
    study = optuna.create_study(sampler=CmaEsSampler(seed=1))
    study.optimize(objective, n_trials=12)
    parts = [[v for name, v in trial.system_attrs.items() if "optimizer" in name] for trial in study.trials]
    return json.loads(bytes.fromhex("".join(next(filter(None, reversed(parts))))))


def changed(**fields):
    return lambda said: {**said, "state": {**said["state"], **fields}}


WRONG = {
    "another kind": lambda said: {**said, "kind": "RandomState"},
    "no state": lambda said: said["kind"],
    "a field too many": changed(_hook="os.system"),
    "a size that no memory holds": changed(_n_dim=10**9),
    "a population that no memory holds": changed(_popsize=10**12),
    "another shape": changed(_mean=[0.5]),
    "words": changed(_mean=["a", "b", "c"]),
    "a word for a number": changed(_sigma="0.1"),
    "a list for a number": changed(_g=[1]),
    "a number for an array": changed(_c_1d=1.0),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_state_that_no_optimiser_has_is_refused(change):
    assert type(PlainState.loads(json.dumps(state()).encode())).__name__ == "CMA"
    with pytest.raises(Misplaced, match="the state of cmaes"):
        PlainState.loads(json.dumps(change(state())).encode())


UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FILES = [path for room in ("mythos_lab", "blocks", "kernels") for path in Path(room).rglob("*.py")]


def test_nothing_of_ours_unpickles():
    """Neither the modules that do, nor torch's and numpy's ways to."""
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found += [(path, name) for name in names if name.partition(".")[0] in UNPICKLERS]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                call = ast.unparse(node.func)
                if call in ("torch.load", "fabric.load") and said.get("weights_only") != "True":
                    found.append((path, call))
                if "allow_pickle" in said or call.endswith(("_object", "_object_list")) and call.startswith("dist."):
                    found.append((path, call))
    assert not found
