"""A trial builds its task once, whatever asks for it, and nothing keeps it once the trial has ended."""

import gc
import weakref

from mythos_blocks.declaring.registry import slot_info
from mythos_lab.search.opening import enqueue_grid, open_study
from mythos_lab.search.worker import run_one
from tests.lab.search.tiny import write

HOLD = {"budgets": {"cost/params": "recipe"}, "by": "model.core.layer.feedforward.hidden", "tolerance": 0.5}


def test_a_trial_with_hold_builds_its_task_once_and_no_trial_s_task_outlives_it(here, monkeypatch):
    space = write(here, space={"model.core.depth": {"int": [1, 2]}}, sampler="grid", hold=HOLD, seeds=2)
    study = open_study(space)
    enqueue_grid(study, space, space.num_trials())
    cls = slot_info("task").kinds["word_problem"]
    made, construct = [], cls.__init__

    def counted(self, *args, **kwargs):
        made.append(weakref.ref(self))
        construct(self, *args, **kwargs)

    monkeypatch.setattr(cls, "__init__", counted)
    num_built = []
    while run_one(space, study, space.num_trials(), lambda: False):
        num_built.append(len(made) - sum(num_built))
    assert [t.user_attrs.get("reason") for t in study.get_trials()] == [None, None]
    assert [n for n in num_built if n] == [1, 1]
    gc.collect()
    assert [task() for task in made] == [None, None]
