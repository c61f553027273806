"""Search spaces: what a field may be, what of it is refused, and that every candidate in one can be reached."""

import optuna
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.files import names
from mythos_lab.recipe.paths import get_path
from mythos_lab.search.feasibility import Infeasible, admit
from mythos_lab.search.spaces.space import load_space

BASE = {"name": "s", "recipe": "gated_loop", "objectives": {"val/accuracy": "maximize"}}


@pytest.fixture
def space(tmp_path):
    def load(space=None, **fields):
        (tmp_path / "s.yaml").write_text(
            yaml.safe_dump({**BASE, **({"space": space} if space else {}), **fields}, sort_keys=False)
        )
        return load_space(str(tmp_path / "s.yaml"))

    return load


def at(space, path, **params):
    """The value at a path of the candidate with these parameters."""
    config = space.candidate(optuna.trial.FixedTrial(params))
    return get_path(validate(config, "s").model_dump(mode="json"), path)


def test_bounds_choices_and_kinds_that_are_not_given_are_the_fields_own(space):
    found = space({
        "model.core.depth": {"int": [None, 4]},
        "training.precision": "any",
        "model.core.layer.feedforward": {"swiglu": {"hidden": {"choice": [8, 16]}}, "relu2": {}},
        "training.optimizer": {"adamw": {"beta1": {"float": "any"}, "lr": {"float": [1e-4, 1e-2], "log": True}}},
        "evaluation.knockouts": {"choice": "any"},
    }).domains  # fmt: skip
    assert (found["model.core.depth"].low, found["model.core.depth"].high) == (1, 4)
    assert found["training.precision"].values == ["float32", "bfloat16"]
    assert found["evaluation.knockouts"].values == [False, True]
    beta = found["training.optimizer"].kinds["adamw"]["beta1"]
    assert beta.low == 0 and 0.999 < beta.high < 1
    assert set(space({"model.core.injection": "any"}).domains["model.core.injection"].kinds) >= {"none", "add", "lti"}


def test_an_element_of_a_list_varies_by_its_number(space):
    path = "training.penalties.0.weight"
    found = space({path: {"float": [0.01, 1.0], "log": True}}, overrides=["training.penalties=[z_loss]"])
    assert at(found, path, **{path: 0.1}) == 0.1
    with pytest.raises(RecipeError, match="training.penalties is a list, and '1' no element of it"):
        space({path.replace("0", "1"): {"float": [0.01, 1.0]}}, overrides=["training.penalties=[z_loss]"])


def test_fields_with_one_label_share_one_parameter(space):
    found = space({
        "model.prelude.depth": {"int": [0, 2], "label": "outer"},
        "model.coda.depth": {"label": "outer"},
    })  # fmt: skip
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        trial = study.ask()
        config = found.candidate(trial)
        assert (
            set(trial.params) == {"outer"} and config["model"]["prelude"]["depth"] == config["model"]["coda"]["depth"]
        )
    assert found.num_points == 3 and len(found.points) == 3


def test_priors_are_in_the_terms_of_the_parameter(space):
    found = space({
        "model.core.depth": {"int": [1, 8], "prior": 2, "confidence": "high"},
        "model.core.injection": {"kinds": {"none": {}, "lti": {}}, "prior": "lti"},
        "model.core.layer.attention.rope_theta": {"choice": [None, 100.0], "prior": 100.0},
        "training.penalties": {"choice": [[], ["z_loss"]], "prior": ["z_loss"]},
    })  # fmt: skip
    values = {name: (prior.value, prior.confidence) for name, prior in found.priors.items()}
    assert values == {
        "model.core.depth": (2, "high"),
        "model.core.injection": ("lti", "medium"),
        "model.core.layer.attention.rope_theta": (100.0, "medium"),
        "training.penalties": (1, "medium"),
    }


def test_a_constraint_may_name_a_field_in_short_a_kinds_own_field_and_what_a_built_component_says(space):
    loops = {"model.core.loops": {"fixed": {"num_loops": {"int": [1, 4]}}, "uniform": {}}}
    found = space(loops, constraints=["core.depth * loops.mean <= 3", "core.loops.num_loops < 4", "optimizer.lr > 0"])
    assert [c.names for c in found.constraints] == [
        ("core.depth", "loops.mean"),
        ("core.loops.num_loops",),
        ("optimizer.lr",),
    ]


def test_arms_are_a_parameter_and_change_what_they_name(space):
    found = space(arms={"full": {}, "deep": {"model.core.depth": 2}, "wide": {"model.width": 64}})
    assert found.num_points == found.num_trials() == found.num_trials(9) == 3 and found.points == [
        {"arm": n} for n in ("full", "deep", "wide")
    ]
    assert at(found, "model.core.depth", arm="deep") == 2 and at(found, "model.width", arm="wide") == 64
    both = space(
        {"training.optimizer.lr": {"choice": [1e-3, 3e-3]}}, arms={"full": {}, "deep": {"model.core.depth": 2}}
    )
    assert both.num_points == 4


def test_an_auto_sampler_says_why(space):
    assert space({"model.core.depth": {"int": [1, 3]}}).sampler(20)[0].kind == "grid"
    conditional = space({"model.core.injection": {"none": {}, "lti": {"margin": {"float": [0.01, 0.1]}}}}).sampler(20)
    assert conditional[0].kind == "tpe" and "exists only with" in conditional[1]


@pytest.mark.parametrize("name", names("search_spaces"))
def test_every_space_in_the_tree_has_candidates_that_may_train(name):
    found, admitted = load_space(name), 0
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(8):
        try:
            admit(found, found.candidate(study.ask()), name)
            admitted += 1
        except Infeasible:
            pass
    assert admitted >= 2


@pytest.mark.parametrize(
    "change, said",
    [
        ({"space": {"model.width": "any"}}, "no upper bound of its own"),
        ({"space": {"model.core.depth": {"int": "any"}}}, "no upper bound"),
        ({"space": {"name": "any"}}, "no bounds to search between"),
        ({"space": {"model.width": {"kinds": "any"}}}, "takes no component"),
        ({"space": {"model.core.depth": {"int": [1, 4], "prior": 5}}}, "prior=5 is outside"),
        ({"space": {"model.core.depth": {"int": [1, 4], "prior": 2, "confidence": "hihg"}}}, "did you mean 'high'"),
        ({"space": {"model.core.depth": {"int": [1, 4], "confidence": "high"}}}, "without a prior"),
        ({"space": {"model.core.depth": {"choice": [1, 1]}}}, "has a value twice"),
        ({"space": {"model.core.depth": {"choice": [1, 2], "log": True}}}, "log has no meaning"),
        ({"space": {"model.core.depth": {"int": [1, 4], "setp": 2}}}, "did you mean 'step'"),
        ({"space": {"model.core.depth": {"int": [1, 4], "step": 0}}}, "step must be positive"),
        ({"space": {"model.core.depth": {"int": [1, 4], "step": "two"}}}, "step: expected a number, found 'two'"),
        ({"space": {"model.core.depth": {"int": [1, 4], "prior": 1.5}}}, "prior 1.5 is not in [1, 4]"),
        ({"space": {"model.core.depth": {"int": [1, 5], "step": 2, "prior": 2}}}, "is not in [1, 5] by steps of 2"),
        ({"space": {"model.core.depth": {"int": [1, 4], "prior": None}}}, "prior=None is no number"),
        ({"space": {"model.core.depth": {"int": [1, 4], "prior": [2]}}}, "prior=[2] is no number"),
        ({"space": {"model.core.depth": {"int": [1, 4], "prior": 2, "confidence": ["high"]}}}, "unknown confidence"),
        ({"space": {"model.core.injection": {"kinds": {"lti": {}}, "prior": ["lti"]}}}, "none of the kinds"),
        ({"space": {"model.core.depth": {"float": [1, 4]}}}, "the field takes whole numbers"),
        (
            {"space": {
                "model.core.loops": {"fixed": {"num_loops": {"int": [1, 2], "label": "n"}}, "uniform": {}},
                "model.core.depth": {"label": "n"},
            }},
            "label 'n' is defined under model.core.loops.fixed, and exists only where that is chosen",
        ),
        (
            {"space": {"model.core.loops": {"fixed": {}}}, "arms": {"a": {"model.core.loops.high": 3}}},
            "model.core.loops: also varies as arms: a",
        ),
        ({"space": {"model.core.depth": {"label": "none"}}}, "label 'none' is defined nowhere"),
        ({"space": {"model.core.injection": {"kinds": {"lti": {}}, "prior": "add"}}}, "none of the kinds"),
        ({"space": {"model.core.loops": {"fixed": {}}, "model.core.loops.low": {"int": [1, 2]}}}, "vary one of them"),
        ({"space": {"model.core.depth": {"int": [1, 2]}}, "arms": {"a": {"model.core.depth": 3}}}, "also varies as arms: a"),
        ({"arms": {"a": {"model.core.dpeth": 3}}}, "did you mean 'depth'"),
        ({"arms": {"a": {"model.core.depth": 0}}}, "arms: a: model.core.depth: input should be greater"),
        ({"constraints": ["core.dpeth < 3"]}, "did you mean 'core.depth'"),
        ({"constraints": ["core.loops.high.foo < 3"]}, "unknown field 'core.loops.high.foo'"),
        ({"constraints": ["core.update < 2"]}, "have no order"),
        ({"constraints": ["core.injection != 'ltii'"]}, "core.injection is never 'ltii'; did you mean 'lti'"),
        ({"constraints": ["training.precision == 'bfloat'"]}, "training.precision is never 'bfloat'; did you mean 'bfloat16'"),
        ({"constraints": ["core.loops.kind in ['uniform', 'fixd']"]}, "is never 'fixd'; did you mean 'fixed'"),
        ({"constraints": ["cost/parms < 3"]}, "did you mean 'cost/params'"),
        ({"constraints": ["cost/cache_bytes < 1e6"]}, "so nothing is decoded"),
        ({"guard": {"metric": "val/loss"}}, "without a pruner it has no effect"),
        ({"declared": ["parameters"]}, "only declared arms are given verdicts"),
        ({"matters": 0.02}, "matters: only declared arms are given verdicts"),
        ({"declared": ["paramters"], "arms": {"a": {}}}, "declared: 'paramters' is no input of a run; did you mean 'parameters'"),
        ({"declared": ["model.core.dept"], "arms": {"a": {}}}, "is no input of a run"),
        ({"objectives": {"test/accuracy": "maximize"}}, "is what mythos holdout measures, once, at the end"),
        ({"objectives": {"knockout/injection": "maximize"}, "overrides": ["evaluation.knockouts=false"]}, "evaluation.knockouts is false"),
        ({"objectives": {"breadth/vote": "maximize"}}, "breadth/vote is not measured, as evaluation.breadth is 1"),
        ({"constraints": ["ood/loss < 1"], "overrides": ["evaluation.ood=false"]}, "evaluation.ood is false"),
        ({"constraints": ["ood/loss < 1"], "overrides": ["task.ood_range=0"]}, "no samples out of distribution"),
        ({"constraints": ["rho(A) < 1"]}, "the metric is stability/rho_A"),
        ({"sampler": {"kind": "tpe", "n_startup": 3}}, "did you mean 'n_startup_trials'"),
        ({"sampler": "cmaes", "space": {"model.core.injection": "any"}}, "cmaes"),
        ({"sampler": {"kind": "nsgaii", "population_size": 50}}, "population_size=50 of 20 trials are random"),
        ({"sampler": "grid", "space": {"training.optimizer.lr": {"float": [1e-4, 1e-2]}}}, "no finite number"),
        ({"pruner": "loop_awre"}, "did you mean 'loop_aware'"),
        ({"trials": 0}, "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(space, change, said):
    with pytest.raises(RecipeError) as caught:
        space(
            **{"space": {"model.core.depth": {"int": [1, 4]}}, **change}
            if "arms" not in change or "space" in change
            else change
        ).num_trials()
    assert said in str(caught.value) and len(caught.value.lines) == 1, str(caught.value)


numbers = st.tuples(st.integers(1, 6), st.integers(1, 6)).map(sorted).map(list)
kinds = st.fixed_dictionaries(
    {},
    optional={
        "fixed": st.fixed_dictionaries({"num_loops": numbers.map(lambda n: {"int": n})}),
        "uniform": st.fixed_dictionaries({"high": st.integers(4, 8).map(lambda n: {"int": [4, n]})}),
        "poisson_lognormal": st.fixed_dictionaries({"mean": st.just({"choice": [2, 4]}), "maximum": st.just(12)}),
    },
).filter(bool)  # fmt: skip
spaces = st.fixed_dictionaries(
    {},
    optional={
        "model.core.depth": st.one_of(numbers.map(lambda n: {"int": n}), st.just({"choice": [1, 3]})),
        "model.core.loops": kinds,
        "model.core.update": st.just({"replace": {}, "highway": {"bias": {"float": [-3.0, 0.0], "step": 1.0}}}),
        "training.batch_size": numbers.map(lambda n: {"int": [8 * n[0], 8 * n[1]], "step": 8}),
    },
).filter(bool)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=spaces, data=st.data())
def test_every_sample_validates_and_every_point_is_reached(space, written, data):
    found = space(written)
    assert (
        found.num_points == len(found.points)
        and len({tuple(sorted(p.items())) for p in found.points}) == found.num_points
    )
    reached = {_candidate(found, point) for point in found.points}
    assert len(reached) == found.num_points, "two points are one candidate"
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=data.draw(st.integers(0, 99))))
    for _ in range(5):
        config = found.candidate(study.ask())
        validate(config, "s")
        assert yaml.safe_dump(config) in reached, "a sample that is no point"


def _candidate(space, point):
    return yaml.safe_dump(space.candidate(optuna.trial.FixedTrial(point)))


def test_a_sampler_that_cannot_do_with_the_files_number_may_do_with_another(space):
    found = space({"model.core.depth": {"int": [1, 400]}}, sampler={"kind": "nsgaii", "population_size": 50})
    assert found.num_trials(200) == 200
    with pytest.raises(RecipeError, match="population_size=50 of 20 trials"):
        found.num_trials()


def test_a_label_may_be_shared_below_the_kind_that_defines_it(space):
    loops = {"uniform": {"low": {"int": [2, 3], "label": "n"}, "high": {"label": "n"}}, "fixed": {"num_loops": 2}}
    found = space({"model.core.loops": loops})
    assert found.num_points == len(found.points) == 3


def test_what_is_declared_is_an_input_or_a_field_of_whatever_kind(space):
    names = ["parameters", "model", "model.core.injection.margin", "training.optimizer.lr", "task"]
    assert space(arms={"a": {}}, declared=names).file.declared == names


def test_a_constraint_may_name_a_field_that_an_arm_alone_has(space):
    arms = {"none": {}, "lti": {"model.core.injection": {"kind": "lti", "margin": 0.1}}}
    assert space(arms=arms, constraints=["core.injection.margin < 0.2"]).constraints
    with pytest.raises(RecipeError, match="unknown field 'core.injection.margn'"):
        space(arms=arms, constraints=["core.injection.margn < 0.2"])
