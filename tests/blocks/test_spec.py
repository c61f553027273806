"""The component mechanism."""

import subprocess
import sys
import textwrap

import jsonschema
import pytest
from pydantic import ValidationError

import mythos_blocks as mb
from mythos_blocks.declaring.spec import json_schema

Spec = mb.LoopedTransformer.Spec


def test_a_slot_takes_a_name_a_mapping_or_a_spec():
    name, mapping, spec = "mla", {"kind": "mla"}, mb.LatentAttention.Spec()
    layers = [mb.PreNormLayer.Spec(attention=value) for value in (name, mapping, spec)]
    assert layers[0] == layers[1] == layers[2]


@pytest.mark.parametrize(
    "fields, path, message",
    [
        ({"wdith": 3}, ("wdith",), "did you mean 'width'"),
        ({"core": {"injection": "ltii"}}, ("core", "injection"), "did you mean 'lti'"),
        ({"core": {"injection": {"kind": "LTI"}}}, ("core", "injection", "kind"), "did you mean 'lti'"),
        ({"core": {"layer": {"attention": {"num_heads": 2}}}}, ("core", "layer", "attention"), "missing kind"),
        ({"core": {"depth": "2"}}, ("core", "depth"), "valid integer"),
        ({"core": {"depth": True}}, ("core", "depth"), "valid integer"),
        ({"core": {"depth": 0}}, ("core", "depth"), "greater than or equal to 1"),
        ({"core": {"injection": mb.LatentAttention.Spec()}}, ("core", "injection"), "does not fit the slot"),
        ({"core": 7}, ("core",), "expected the kind"),
    ],
)
def test_mistakes_are_named_with_their_path(fields, path, message):
    with pytest.raises(ValidationError) as caught:
        Spec(**fields)
    (error,) = caught.value.errors()
    assert error["loc"] == path and message in error["msg"]


def test_constructors_check_as_recipes_do():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        mb.GroupedQueryAttention(64, num_heads=0)
    with pytest.raises(ValueError, match="nearest that do: 2, 4"):
        mb.GroupedQueryAttention(64, num_heads=3)
    with pytest.raises(mb.BuildError) as caught:
        mb.LoopedTransformer(9, width=30)
    assert caught.value.spec.kind == "gqa"


def test_specs_are_frozen():
    with pytest.raises(ValidationError):
        Spec().width = 3


@pytest.mark.parametrize(
    "instance, valid",
    [
        ({}, True),
        ({"width": 64, "core": {"injection": "lti", "layer": {"attention": {"kind": "mla", "kv_rank": 8}}}}, True),
        ({"wdith": 64}, False),
        ({"width": 0}, False),
        ({"core": {"injection": "ltii"}}, False),
        ({"core": {"layer": {"attention": {"kind": "mla", "num_kv_heads": 8}}}}, False),
        ({"core": {"layer": {"attention": {"num_heads": 8}}}}, False),
    ],
)
def test_the_json_schema_judges_as_the_model_does(instance, valid):
    validator = jsonschema.Draft202012Validator(json_schema(Spec))
    assert validator.is_valid(instance) is valid
    try:
        Spec.model_validate(instance)
    except ValidationError:
        assert not valid
    else:
        assert valid


@pytest.fixture
def average():
    @mb.component("update", "average")
    class Average(mb.Update):
        """The mean of the old state and the core's output."""

        def __init__(self, width: int) -> None:
            super().__init__()

        def forward(self, h, u, carry, t):
            return (h + u) / 2, None

    return Average


def test_a_component_of_ones_own_is_declarable_at_once(average):
    model = mb.LoopedTransformer(9, width=16, core={"update": "average"})
    assert isinstance(model.core.update, average)
    assert "update.average" in json_schema(Spec)["$defs"]


def test_a_kind_that_is_taken_is_refused(average):
    with pytest.raises(ValueError, match="registered already"):
        mb.component("update", "average")(type("Other", (mb.Replace,), {"__doc__": "Other."}))


def test_importing_the_blocks_needs_torch_and_pydantic_only():
    script = """
        import sys, mythos_blocks
        heavy = {"lightning", "mlflow", "optuna", "hydra", "omegaconf", "pandas", "matplotlib", "triton", "mythos_lab"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fields_that_a_constructor_passes_on_are_its_own_too():
    """Own fields come first; a field that is declared again has the later default and description."""

    class Base(mb.Update):
        """Base.

        Args:
            size: Of the base.
            seed: Where it begins.
        """

        def __init__(self, *, size: int = 3, seed: int = 0) -> None:
            super().__init__()
            self.size, self.seed = size, seed

    @mb.component("update", "passing")
    class Passing(Base):
        """Passing.

        Args:
            depth: Its own.
            seed: Declared again.
        """

        def __init__(self, *, depth: int = 1, seed: int = 7, **fields) -> None:
            super().__init__(seed=seed, **fields)
            self.depth = depth

    assert list(Passing.Spec.model_fields) == ["kind", "depth", "seed", "size"]
    assert Passing.Spec.model_fields["seed"].description == "Declared again."
    assert Passing.Spec.model_fields["size"].description == "Of the base."
    made = Passing(size=5)
    assert (made.depth, made.seed, made.size) == (1, 7, 5)
    with pytest.raises(ValueError, match="unknown field; did you mean 'size'"):
        Passing(sise=5)
