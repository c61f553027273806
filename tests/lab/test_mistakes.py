"""A user's mistake gives one line that names file, path, expectation and nearest choice; status 2; nothing written."""

import pytest
import yaml
from typer.testing import CliRunner

from mythos_blocks import LoopedTransformer
from mythos_blocks.checkpoints import save
from mythos_lab.cli import app

GATED = ["check", "gated_loop"]
MYTHOS = ["check", "openmythos"]
PARCAE = ["check", "parcae", "task.length=16"]
MIXER = ["check", "looped", "mask=full", "model.core.layer={attention: {kind: mixer, num_positions: 5}}"]

# Override, and what the line must say. Equivalents of what was tried on peers are marked with the peer.
OVERRIDES = [
    (GATED, "model.wdith=64", "unknown field 'wdith'; did you mean 'width'"),
    (GATED, "modle.width=64", "did you mean 'model'"),
    (GATED, "model.core.layer.attention.num_headz=2", "did you mean 'num_heads'"),
    (GATED, "model.core.lops.low=2", "did you mean 'loops'"),
    (GATED, "training.max_step=5", "did you mean 'max_steps'"),
    (GATED, "training.optimizer.lrr=0.1", "did you mean 'lr'"),
    (GATED, "trainig.max_steps=5", "did you mean 'training'"),
    (GATED, "model.width.size=3", "model.width is a value"),
    (GATED, "+model.depth=3", "'+' adds fields, and the schema has all that there are; write model.depth=3"),
    (GATED, "++model.width=3", "'+' adds fields, and the schema has all that there are; write model.width=3"),
    (GATED, "~model.width", "'~' deletes fields, and the schema has each; write model.width=null, or its none"),
    (GATED, "model.width", "expected path=value"),
    (GATED, "model.width=[1", "expected path=value"),
    (GATED, "model.width=32,64", "many are model.width: {choice: [...]}"),
    (GATED, "model.core.layer.attention.kind=gqqa", "did you mean 'gqa'"),  # OpenMythos accepts it
    (GATED, "model.core.layer.attention=MLA", "did you mean 'mla'"),  # OpenMythos builds GQA
    (GATED, "model.core.layer.feedforward=swiglo", "did you mean 'swiglu'"),  # mad-lab: bare KeyError
    (GATED, "model.core.injection=ltii", "did you mean 'lti'"),
    (GATED, "model.core.halting=atc", "did you mean 'act'"),
    (GATED, "model.core.loops.kind=unifrom", "did you mean 'uniform'"),  # Parcae: sampler typo accepted
    (GATED, "model.core.update=higway", "did you mean 'highway'"),
    (GATED, "task=reachabilty", "did you mean 'reachability'"),
    (GATED, "task.kind=reach", "did you mean 'reachability'"),
    (GATED, "training.optimizer=adamww", "did you mean 'adamw'"),
    (GATED, "training.schedule=cosin", "did you mean 'cosine'"),
    (GATED, "model.width=66", "num_heads=4 does not divide width=66"),  # OpenMythos: floor division
    (GATED, "model.core.layer.attention.num_heads=5", "does not divide"),
    (GATED, "model.core.layer.attention.num_kv_heads=3", "num_kv_heads=3 does not divide num_heads=4"),
    (GATED, "model.width=-128", "greater than or equal to 1"),  # zoology: error without the field
    (GATED, "model.width=0", "greater than or equal to 1"),
    (GATED, "model.width='64'", "valid integer (got '64')"),  # zoology coerces
    (GATED, "model.width=abc", "valid integer (got 'abc')"),
    (GATED, "model.width=64.5", "valid integer (got 64.5)"),
    (GATED, "model.width=true", "valid integer (got True)"),
    (GATED, "model.width=null", "valid integer (got None)"),
    (GATED, "model.core.depth=0", "greater than or equal to 1"),
    (GATED, "model.prelude={depth: -1}", "greater than or equal to 0"),  # OpenMythos: prelude_layers=-1 accepted
    (GATED, "model.core.loops.low=0", "greater than or equal to 1"),  # OpenMythos: n_loops=0 is the default
    (GATED, "model.core.loops.low=9", "low=9 exceeds high=7"),
    (GATED, "model.core.loops.high=-3", "greater than or equal to 1"),  # Parcae: mean_recurrence=-3 accepted
    (GATED, "model.core.loops.gradient_window=0", "greater than or equal to 1"),
    (GATED, "model.core.loops={kind: poisson_lognormal, mean: 0}", "greater than or equal to 1"),  # Parcae accepts
    (GATED, "model.core.loops={kind: poisson_lognormal, mean: 9, maximum: 4}", "maximum=4 must exceed mean=9"),
    (GATED, "model.core.loops={low: 4}", "missing kind"),
    (GATED, "model.core.layer.attention.rope_theta=0", "greater than 0"),  # OpenMythos: NaN output
    (MYTHOS, "model.core.layer.feedforward.num_active=0", "greater than or equal to 1"),  # OpenMythos accepts
    (MYTHOS, "model.core.layer.feedforward.num_active=9", "num_active=9 exceeds num_experts=8"),
    (MYTHOS, "model.core.layer.feedforward.expert_hidden=0", "greater than or equal to 1"),  # OpenMythos accepts
    (MYTHOS, "model.core.halting.threshold=0", "greater than 0"),  # OpenMythos accepts
    (MYTHOS, "model.core.halting.threshold=-1", "greater than 0"),
    (MYTHOS, "model.core.halting.threshold=1.5", "less than or equal to 1"),  # OpenMythos never halts
    (MYTHOS, "model.core.halting.halted_state=frozn", "'frozen' or 'updating'"),
    (MYTHOS, "model.core.depth_adapter.rank=0", "greater than or equal to 1"),  # OpenMythos accepts
    (MYTHOS, "model.core.layer.attention.rope_dim=15", "rope_dim=15 must be even"),
    (MYTHOS, "model.core.depth_signal={kind: rotary, num_channels: 7}", "must be even"),
    (MYTHOS, "model.core.injection={kind: lti, margin: 1.0}", "less than 1"),
    (MYTHOS, "mask=task", "gives no mask"),
    (MYTHOS, "model.prefix=memory", "takes the first 8 positions of every sample, and the task 'text' leaves 0"),
    (MYTHOS, "model.position_embedding={kind: learned, num_positions: 2}", "has num_positions=2, and the input has"),
    (
        MYTHOS,
        "model.core.layer={kind: post_norm, attention_norm_over: positions}",
        "attention_norm_over='positions' reads all positions",
    ),
    (MYTHOS, "mask=full", "need 'causal'"),
    (GATED, "mask=causl", "'causal', 'full' or 'task'"),
    (GATED, "task.max_hops=0", "greater than or equal to 1"),
    (GATED, "task.max_hops=9", "must come to at most num_nodes - 3"),
    (GATED, "task.min_hops=5", "min_hops=5 exceeds max_hops=4"),
    (MYTHOS, "task.path=/no/such/folder", "/no/such/folder"),
    (MYTHOS, "task.path=/dev/null", "no usable text"),
    (MYTHOS, "task.length=0", "greater than or equal to 1"),
    (GATED, "training.max_steps=0", "greater than or equal to 1"),
    (GATED, "training.optimizer.lr=-1", "greater than 0"),
    (GATED, "training.optimizer.lr=fast", "valid number (got 'fast')"),
    (GATED, "training.schedule.warmup_steps=1000", "must be below max_steps"),
    (GATED, "training.precision=float8", "'float32' or 'bfloat16'"),
    (GATED, "seed=-1", "greater than or equal to 0"),
    (GATED, "version=2", "input should be 1"),
    (GATED, "name=''", "at least 1 character"),
    (GATED, "waive=[depth.no_efect]", "did you mean 'depth.no_effect'"),
    (GATED, "imports=[no_such_module]", "cannot import 'no_such_module'"),
    (GATED, "stability.max_spectral_radius=0", "greater than 0"),
    # What is declared twice, and in disagreement.
    (
        PARCAE,
        "model.core.alternate.attention.value_embeddings=255",
        "parcae.yaml: model.core.alternate.attention: value_embeddings=255 has no row for some of the vocabulary's 256",
    ),
    ([*PARCAE, "model.coda.alternate.attention.value_embeddings=256"], "task.packing=packed", "use true or 257"),
    (PARCAE, "model.core.alternate.attention.value_embeddings=many", "valid integer (got 'many'), or: input should be"),
    (MIXER, "task=sudoku", "model.core.layer.attention: attention 'mixer' has num_positions=5, and the input 16"),
    ([*MIXER, "task=parity"], "task.ood_range=0", "reads all positions, which a mask or padding does not allow"),
    (
        ["check", "looped", "mask=full", "task=parity", "task.min_length=7", "task.max_length=7", "task.ood_range=1"],
        "model.core.layer={attention: {kind: mixer, num_positions: 8}}",
        "and the input 9); set task.ood_range=0 or evaluation.ood=false",
    ),
    (
        GATED,
        "model.core.depth_adapter={kind: depth_lora, beyond: error}",
        "evaluation.depth_factor=4 runs 16 loops, and a table of the core has 7 rows",
    ),
    (
        [*GATED, "evaluation.depth_factor=1", "model.core.depth_adapter={kind: depth_lora, beyond: error}"],
        "training.penalties=[{kind: fixed_point}]",
        "penalty 'fixed_point' runs one iteration more than the 7 that training draws",
    ),
    (
        [*GATED, "model.core.tying=sequence", "model.core.depth=2", "model.core.halting=none"],
        "training.penalties=[{kind: jacobian_radius}]",
        "penalty 'jacobian_radius' runs one iteration more, and with core.tying 'sequence' none runs all layers",
    ),
    (
        [*GATED, "model.core.tying=sequence", "model.core.depth=2", "model.core.halting=none"],
        "training.objective=blended",
        "objective 'blended' reads the state after every iteration, and with core.tying 'sequence' none runs all layers",
    ),
    (
        [*GATED, "model.core.depth=4", "model.core.alternate={feedforward: identity}"],
        "training.penalties=[{kind: weight_cosine}]",
        "layers that are block=1 apart differ by core.alternate; use an even block",
    ),
    (
        ["cost", "gated_loop", "--loops", "9", "evaluation.depth_factor=1"],
        "model.core.depth_adapter={kind: depth_lora, beyond: error}",
        "gated_loop: iteration 7 is beyond the table's 7 rows",
    ),
    (GATED, "training.penalties=[{kind: distillation, teacher: pyproject.toml}]", "'pyproject.toml' is not a file"),
]

RECIPES = [
    (
        "name: x\ndefaults: [/task: text, _self_]\nmodel: {}\ntraining: fast\n",
        "training: expected fields with their values, {field: value} (got 'fast')",
    ),
    ("- a\n- b\n", "expected a mapping"),
    ("just text", "expected a mapping"),
    ("", "expected a mapping"),
    ("a: [1", "not YAML"),
    ("nmae: x\n", "did you mean 'name'"),
    ("name: x\ndefaults: [/task: text, _self_]\n", "model: required, and missing"),
    ("name: x\ndefaults: [/task: reachabilty, _self_]\nmodel: {}\n", "reachabilty"),
    ("name: x y\ndefaults: [/task: text, _self_]\nmodel: {}\n", "pattern"),
    (
        "name: x\ndefaults: [/task: text, _self_]\nmodel: {core: {injection: {kind: lti, marginn: 0.1}}}\n",
        "did you mean 'margin'",
    ),
    ("name: x\ndefaults: [/task: text, _self_]\nmodel: {core: {injection: 7}}\n", "expected the kind of a component"),
    ("name: x\ndefaults: [/task: text, _self_]\nmodel: {width: !!python/object/apply:os.getcwd []}\n", "not YAML"),
]

SPACE = {
    "name": "s",
    "recipe": "gated_loop",
    "space": {"model.width": {"int": [8, 64]}},
    "objectives": {"val/accuracy": "maximize"},
}
SPACES = [
    ({"space": {"model.wdith": {"int": [8, 64]}}}, "did you mean 'width'"),
    ({"space": {"model.width": {"int": [0, 64]}}}, "0 is outside the field"),
    ({"space": {"model.width": {"int": [64, 8]}}}, "low=64 exceeds high=8"),
    ({"space": {"model.width": {"int": [8]}}}, "expected [low, high]"),
    ({"space": {"model.width": {"itn": [8, 64]}}}, "did you mean 'int'"),
    ({"space": {"model.width": 3}}, "expected {int: [low, high]}"),
    ({"space": {"model.width": {"int": [8, 64], "log": True, "step": 2}}}, "exclude each other"),
    ({"space": {"model.core.injection": {"ltii": {}}}}, "did you mean 'lti'"),
    ({"space": {"model.core.injection": {"lti": {"marginn": {"float": [0.1, 0.2]}}}}}, "did you mean 'margin'"),
    ({"space": {"model.core.injection": {"lti": {"margin": {"float": [0.1, 2.0]}}}}}, "2.0 is outside the field"),
    ({"space": {"model.core.loops": {"fixed": {"num_loops": 0}}}}, "greater than or equal to 1"),
    ({"space": {}}, "nothing varies: expected fields under 'space'"),
    ({"objectives": {"val/acuracy": "maximize"}}, "did you mean 'val/accuracy'"),
    ({"objectives": {"val/bits_per_byte": "minimize"}}, "has no val/bits_per_byte"),
    ({"objectives": {"val/accuracy": "max"}}, "'minimize' or 'maximize'"),
    ({"objectives": {"val/accuracy": "maximize", "val/loss": "minimize"}, "pruner": "median"}, "cannot prune"),
    ({"pruner": "median", "guard": {"direction": "min"}}, "guard.direction: input should be 'minimize' or 'maximize'"),
    ({"pruner": "median", "objectives": {"ood/accuracy": "maximize"}}, "pruner: no validation reports ood/accuracy"),
    ({"pruner": "median", "guard": {"metric": "cost/params"}}, "pruner: no validation reports cost/params"),
    ({"recipe": "gated_lop"}, "did you mean 'gated_loop'"),
    ({"sampler": "tpee"}, "did you mean 'tpe'"),
    ({"hold": {"budgets": {"cost/parms": 10}, "by": "model.core.depth"}}, "did you mean 'cost/params'"),
    ({"hold": {"budgets": {"cost/params": 10}, "by": "model.wdth"}}, "did you mean 'width'"),
    ({"hold": {"budgets": {"cost/params": "recpie"}, "by": "model.core.depth"}}, "hold.budgets.cost/params"),
    ({"hold": {"budgets": {"cost/cache_bytes": "recipe"}, "by": "model.core.depth"}}, "hold.budgets: "),
    (
        {"hold": {"budgets": {"cost/params": 10}, "by": "model.width"}},
        "hold.by: model.width: is solved for, and space sets it",
    ),
    ({"hold": {"budgets": {"params": 10}, "by": "model.core.depth"}}, "did you mean 'cost/params'"),
    ({"hold": {"budgets": {"val/loss": 10}, "by": "model.core.depth"}}, "only a cost can be held"),
    ({"trils": 3}, "did you mean 'trials'"),
    ({"overrides": ["model.wdth=3"]}, "did you mean 'width'"),
]


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        before = sorted(tmp_path.rglob("*"))
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 2, result.output + repr(result.exception)
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    return call


@pytest.mark.parametrize("command, override, said", OVERRIDES, ids=[o for _, o, _ in OVERRIDES])
def test_overrides(call, command, override, said):
    assert said in call(*command, override)


@pytest.mark.parametrize("text, said", RECIPES)
def test_recipes(call, tmp_path, text, said):
    (tmp_path / "mine.yaml").write_text(text)
    line = call("train", "mine.yaml")
    assert said in line and "mine.yaml" in line


@pytest.mark.parametrize("change, said", SPACES)
def test_search_spaces(call, tmp_path, change, said):
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({**SPACE, **change}))
    assert said in call("study", "space.yaml")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["train", "gated_lop"], "did you mean 'gated_loop'"),
        (["train", "no/such.yaml"], "no such file"),
        (["study", "quikstart"], "did you mean 'quickstart'"),
        (["components", "atention"], "did you mean 'attention'"),
        (["depth", "runs/none"], "not the folder of a finished run"),
        (["train", "gated_loop", "--resume", "runs/none"], "holds no run"),
        (["train", "gated_loop", "--resume", "."], "holds no run"),
        (["match", "gated_loop", "--write", "no/such/layers.yaml"], "--write no/such/layers.yaml: there is no folder"),
        (["holdout", "quickstart"], "the study 'quickstart' has not been begun"),
        (["study", "quickstart", "--trials", "2", "--storage", "sqlite://"], "a database in memory"),
    ],
)
def test_names(call, arguments, said):
    assert said in call(*arguments)


def test_the_path_of_a_mistake_that_a_constructor_finds_is_named(call):
    assert "gated_loop.yaml: model.core.layer.attention: num_heads=4" in call("check", "gated_loop", "model.width=50")


def test_a_table_that_the_vocabulary_exceeds_is_refused_by_every_command(call, tmp_path):
    said = "model.coda.alternate.attention: value_embeddings=200 has no row"
    override = "model.coda.alternate.attention.value_embeddings=200"
    space = {**SPACE, "recipe": "parcae", "objectives": {"val/loss": "minimize"}, "overrides": [override]}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    for arguments in (["check", "parcae", override], ["train", "parcae", override], ["cost", "parcae", override]):
        assert said in call(*arguments)
    assert said in call("study", "space.yaml")


def test_a_teacher_that_is_no_model_or_reads_other_sequences_is_refused(call, tmp_path):
    (tmp_path / "teacher.safetensors").write_text("nothing")
    penalty = "training.penalties=[{kind: distillation, teacher: teacher.safetensors}]"
    assert "teacher teacher.safetensors is not a safetensors file" in call("check", "looped", "task=parity", penalty)
    layer = {"attention": {"kind": "mixer", "num_positions": 9}}
    save(LoopedTransformer(6, width=16, core={"layer": layer}), tmp_path / "teacher.safetensors")
    assert "training.penalties: the other model" in call("check", "looped", "task=parity", penalty)


def test_an_unwaived_finding_stops_a_run_before_it_writes(call):
    assert "depth.no_effect" in call(
        "train", "openmythos_as_published", "waive=[gradient.missing,halting.mass,stability.rho]", "task.length=16"
    )
