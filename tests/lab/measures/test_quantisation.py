"""What rounding costs, where it is known: a linear loop's errors grow as rho^t."""

import math

import pytest
import torch

from mythos_blocks import load_plugins
from mythos_lab.measures import Samples, measure
from mythos_lab.measures.quantisation import rounded
from mythos_lab.recipe.rounding import round_rows
from tests.lab.measures import planted
from tests.lab.measures.test_padding import randomised, recipe

load_plugins()
T = 8


@pytest.fixture(autouse=True)
def matrices(monkeypatch):
    """The planted layer's map is a matrix."""
    planted.register()
    monkeypatch.setattr(planted.slot_info("layer").kinds["planted"], "matrices", ("maps",), raising=False)


def turning(rho):
    """A loop ``h' = rho Q h``, with a Q that no format holds."""
    q = torch.linalg.qr(
        torch.randn(planted.NUM_TOKENS, planted.NUM_TOKENS, generator=torch.Generator().manual_seed(0))
    )[0]
    return planted.model((rho * q).repeat(T, 1, 1))  # fmt: skip


def found(model, samples, **fields):
    (outcome,) = measure(model, samples, [{"kind": "quantisation", **fields}])
    return {(v.quantity.partition("/")[2], v.of, v.loop): v.value for v in outcome.values}


@pytest.mark.parametrize("rho", [0.5, 0.95, 1.0, 1.2])
def test_the_error_of_a_linear_loop_grows_as_rho_to_the_t(rho):
    values = found(turning(rho), planted.samples(40))
    for name in ("int8", "int4", "fp8"):
        assert values["growth", name, None] == pytest.approx(rho, rel=1e-3), name
        # Error and state grow alike: what is lost relative to the state is the same, whichever loop is rounded.
        taxes = [values["tax", name, t] for t in range(1, T + 1)]
        assert min(taxes) > 0 and max(taxes) < 1.5 * min(taxes)
        assert values["error", name, T] > values["error", name, 1]


def test_coarser_formats_cost_more():
    values = found(turning(0.9), planted.samples(40))
    for t in range(1, T + 1):
        assert values["error", "int8", t] < values["error", "fp8", t] < values["error", "int4", t]


def test_what_a_format_holds_costs_nothing():
    values = found(planted.permuting("abc"), planted.samples(40))
    assert values and all(value == 0 for value in values.values())
    assert not [key for key in values if key[0] == "growth"], "nothing grows"


def test_an_error_that_matters_flips_answers():
    """Entries of a fifteenth of the largest are rounded away in four bits: the token that they stand for is lost."""
    maps = torch.eye(planted.NUM_TOKENS) / 15
    maps[:, 0] = 1.0
    model = planted.model(maps[None])
    with torch.no_grad():
        model.head.weight[0] = 0  # what is written over all of them is not read
    values = found(model, planted.samples(200))
    assert values["flips", "int4", None] > 0.5 and values["lost", "int4", None] > 0.5
    assert values["flips", "int8", None] == 0


@pytest.mark.parametrize("name, most", [("int8", 0.5 / 127), ("int4", 0.5 / 7), ("fp8", 2**-4)])
def test_rows_are_rounded_to_nearest_each_by_its_largest_entry(name, most):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 5, 7, generator=generator) * torch.logspace(-3, 3, 5)[:, None]
    near = round_rows(weight, name)
    largest = weight.abs().amax(-1, keepdim=True)
    off = (near - weight).abs() / (weight.abs() if name == "fp8" else largest)
    normal = weight.abs() > largest * 2**-14
    assert float(off[normal].max()) <= most * 1.001 and float(off[normal].max()) > most / 2
    assert torch.allclose(round_rows(near, name), near) and torch.allclose(near.abs().amax(-1, keepdim=True), largest)
    levels = max(len(row.unique()) for row in near.flatten(0, 1))
    assert levels <= 7 and math.isfinite(float(near.sum()))


@pytest.mark.parametrize(
    "core, nets",
    [({"layer": {"feedforward": "moe"}}, {"layers"}), ({"kind": "hierarchical"}, {"layers", "high_layers"})],
    ids=["experts", "two nets"],
)
def test_weights_of_all_layers_are_rounded_and_are_what_they_were_to_the_bit_even_after_an_error(core, nets):
    model, _ = randomised(recipe(core))
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with pytest.raises(ZeroDivisionError), rounded(model.core, "int4"):
        changed = [n for n, x in model.state_dict().items() if not torch.equal(x, before[n])]
        assert {name.split(".")[1] for name in changed} == nets
        raise ZeroDivisionError
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_a_whole_model_is_measured_by_the_formats_that_are_named():
    model, _ = randomised(recipe({}))
    tokens = torch.randint(4, (20, 5), generator=torch.Generator().manual_seed(0))
    values = found(model, Samples.of_tokens(tokens, tokens, mask="full"), formats=["int8"], num_sequences=3)
    assert {of for _, of, _ in values} == {"int8"} and values["error", "int8", 1] > 0
