"""Bad input beyond typos: one line, status 2, nothing written, quickly and within bounded memory."""

import os

import pytest
import yaml

from tests.lab.bad_input import Case, Maker, met, refused

NUM_GENERATED = int(os.environ.get("MYTHOS_BAD_INPUT", "60"))

CHECK = ["check", "gated_loop"]
STUDY = {
    "name": "s",
    "recipe": "gated_loop",
    "space": {"model.core.depth": {"int": [1, 2]}},
    "objectives": {"val/accuracy": "maximize"},
}
MINE = "name: mine\ndefaults: [/task: parity, /training: quick, _self_]\nmodel: {width: 16}\n"
BOMB = "".join(f"- &a{i} [{','.join([f'*a{i - 1}'] * 10) if i else 'x'}]\n" for i in range(9))


def override(*overrides, said):
    return Case([*CHECK, *overrides]), said


def recipe(text, said, verb="check"):
    return Case([verb, "mine.yaml"], {"mine.yaml": MINE + text}), said


def study(said, text="", **fields):
    return Case(["holdout", "space.yaml"], {"space.yaml": yaml.safe_dump({**STUDY, **fields}) + text}), said


def varies(path, domain, said):
    return study(said, space={path: domain})


CASES = [
    # Sizes that no machine holds.
    override("model.width=2147483648", said="model.width: input should be at most 1048576"),
    override("model.core.loops.high=1000000000", said="model.core.loops.high: input should be at most 4096"),
    override("model.core.loops={kind: poisson, mean: 4000}", said="cut at 16000, beyond 4096 loops; set maximum"),
    override("model.core.loops.high=4096", "model.core.depth=64", said="apply more than the 65,536 layers"),
    override("evaluation.breadth=0", said="evaluation.breadth: input should be greater than or equal to 1"),
    override("evaluation.breadth=4", said="evaluation.breadth=4: no initial state of the model is drawn (input)"),
    override("evaluation.depth_factor=10000", said="evaluation.depth_factor=10000 runs"),
    override("model.core.depth=10000000", said="model.core.depth: input should be at most 4096"),
    override("task.train_size=10000000000000", said="task.train_size: input should be at most 2147483647"),
    override("task.train_size=2000000000", said="task.train_size=2,000,000,000: so many samples"),
    override("training.batch_size=1000000", "task.num_nodes=64", "task.max_hops=8", said="training.batch_size=1,000,000 of"),
    override("model.width=1000000", said="parameters with their gradients take"),
    override("training.num_threads=100000", said="training.num_threads: input should be at most 4096"),
    (Case(["cost", "gated_loop", "--loops", "1000000000"]), "--loops 1000000000: expected whole numbers from 1 to 4096"),
    (Case(["cost", "gated_loop", "training.batch_size=2000000000"]), "input should be at most 1048576"),
    (Case(["task", "parity", "max_length=1000000000"]), "max_length: input should be at most 1048576"),
    (Case(["worth", "gated_loop", "--steps", "99999999999", "--dry-run"]), "max_steps: input should be at most"),
    override("seed=" + "9" * 5000, said="expected path=value"),
    override("model.width=" + "9" * 400, said="a whole number beyond 64 bits"),
    # Nesting, aliases, text.
    override("waive=" + "[" * 3000 + "]" * 3000, said="nested more than 64 deep"),
    override("description=" + "${" * 3000 + "}" * 3000, said="nested more than 64 deep"),
    recipe("waive: " + "[" * 2000 + "]" * 2000, "mine.yaml: line 4: nested more than 64 deep"),
    recipe("waive:\n" + BOMB, "more than 10,000 values"),
    recipe('description: "\\ud800"\n', "a character that no file can"),
    recipe("description: x\ndescription: y\n", "mine.yaml: line 5: description: written twice"),
    recipe("1: 2\n", "expected a name as key"),
    study("nested more than 64 deep", "declared: " + "[" * 2000 + "]" * 2000),
    study("more than 10,000 values", "declared:\n" + BOMB),
    study("space.yaml: line 10: name: written twice", "name: t\n"),
    # Infinities and emptiness.
    override("stability.max_spectral_radius=inf", said="max_spectral_radius: input should be a finite number"),
    override("training.optimizer.lr=nan", said="training.optimizer.lr: input should be a finite number"),
    override("training.gradient_clip=1e999", said="training.gradient_clip: input should be a finite number"),
    override("tracking.experiment=''", said="tracking.experiment: string should have at least 1 character"),
    override("tracking.uri=''", said="tracking.uri: string should have at least 1 character"),
    override("training.penalties=[{kind: distillation, teacher: ''}]", said="at least 1 character"),
    study("hold.budgets.cost/params: input should be a finite number", "hold: {budgets: {cost/params: .inf}, by: model.width}\n"),
    study("matters: input should be a finite number", "matters: .inf\n"),
    study("storage: string should have at least 1 character", storage=""),
    study("recipe: string should have at least 1 character", recipe=""),
    study("sampler: tpe: n_startup_trials=-1: expected 0 to 1,000,000", sampler={"kind": "tpe", "n_startup_trials": -1}),
    study("pruner: patient: min_delta: expected a finite number", pruner={"kind": "patient", "wrapped_pruner": "median", "patience": 1, "min_delta": float("nan")}),
    # Modules.
    override("imports=[.rel]", said="imports: '.rel' is no module's name"),
    override("imports=['']", said="imports.0: string should have at least 1 character"),
    # What varies.
    varies("name", {"choice": ["a", "b"]}, "space: name: says nothing of what is trained"),
    varies("imports", {"choice": [["os"], ["sys"]]}, "space: imports: says nothing of what is trained"),
    varies("tracking.experiment", {"choice": ["a", "b"]}, "space: tracking.experiment: says nothing of what is trained"),
    study("arms: b: description: says nothing of what is trained", space={}, arms={"a": {}, "b": {"description": "x"}}),
    varies("training.optimizer.weight_decay", {"float": [0, 0.1], "step": 0.03}, "ends at 0.09 and never reaches 0.1"),
    varies("model.core.depth", {"int": [1, 4], "step": 2}, "ends at 3 and never reaches 4"),
    varies("training.optimizer.lr", {"float": [0.1, float("inf")]}, "inf is outside the field"),
    varies("training.optimizer.weight_decay", {"float": [0, 0.1], "step": float("nan")}, "step must be positive"),
    varies("model.width", {"int": [8, 10**13]}, "input should be at most 1048576"),
    varies("tracking", {"choice": [{}]}, "says nothing of what is trained"),
    # Constraints.
    study("reads no field and no metric", constraints=["9**9**9 < 1"]),
    study("expected at most 1,000", constraints=["+".join(["core.depth"] * 20000) + " < 1"]),
    study("nested more than 100 deep", constraints=["-" * 400 + "core.depth < 1"]),
    study("too many nested parentheses", constraints=["(" * 400 + "core.depth" + ")" * 400 + " < 1"]),
    study("cannot be reckoned with", constraints=["core.update * 1000000000 == 'x'"]),
    study("neither a finite number nor a word", constraints=["core.depth < 1e999"]),
]  # fmt: skip


@pytest.mark.parametrize("case, said", CASES, ids=[said for _, said in CASES])
def test_a_case_is_one_line(case, said):
    lines = refused(case)
    assert len(lines) == 1 and said in lines[0], lines


def test_generated_input_is_met_as_promised():
    for seed in range(NUM_GENERATED):
        case = Maker(seed).case()
        assert met(case) is None, f"seed {seed}: {met(case)}: {case}"
