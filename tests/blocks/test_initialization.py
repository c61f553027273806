"""Initial weights: all of them set, from the seed alone, and shared between models that share a parameter."""

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from tests.blocks.parts import EVERYTHING, NEEDED, kinds, make, model

CORES = [
    {},
    EVERYTHING,
    *({slot: kind} for slot, kind in kinds("injection", "update", "depth_signal", "halting")),
]


@pytest.mark.parametrize("core", CORES, ids=str)
def test_initialize_sets_every_parameter_whatever_it_was(core):
    fresh, spoilt = model(**core), model(**core)
    with torch.no_grad():
        for parameter in spoilt.parameters():
            parameter.fill_(torch.nan)

    spoilt.initialize(seed=0)

    for (name, value), (_, wanted) in zip(spoilt.named_parameters(), fresh.named_parameters(), strict=True):
        assert torch.equal(value, wanted), name


def test_a_model_built_on_the_meta_device_is_completed_by_initialize():
    fresh = model(**EVERYTHING)
    with torch.device("meta"):
        empty = model(**EVERYTHING)
    assert all(parameter.is_meta for parameter in empty.parameters())

    empty.to_empty(device="cpu")
    empty.head.weight = empty.embedding.weight
    empty.initialize(seed=0)

    for (name, value), (_, wanted) in zip(empty.named_parameters(), fresh.named_parameters(), strict=True):
        assert torch.equal(value, wanted), name


@pytest.mark.parametrize("core", CORES, ids=str)
def test_initial_weights_owe_nothing_to_the_global_generator(core):
    built = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        built.append(model(**core))

    for (name, one), (_, other) in zip(*(m.named_parameters() for m in built), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize(
    "change",
    [
        {"num_loops": 9},
        {"injection": "none"},
        {"update": "replace"},
        {"halting": "none"},
        {"depth_signal": "none"},
        {"depth_adapter": {"kind": "depth_lora", "rank": 3}},
        {"depth_adapter": "none"},
        {"depth": 2},
    ],
    ids=str,
)
def test_a_parameter_that_two_models_share_in_name_and_shape_starts_at_one_value(change):
    one = dict(model(**EVERYTHING).named_parameters())
    other = dict(model(**{**EVERYTHING, **change}).named_parameters())

    shared = [name for name in one if name in other and one[name].shape == other[name].shape]

    assert len(shared) > 15
    assert [name for name in shared if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("core", [{"depth": 2}, EVERYTHING], ids=str)
def test_no_two_parameters_draw_the_same_numbers(core):
    """Whatever their shapes: a generator used twice would show in the first values, up to scale."""
    drawn = {
        n: p.detach().flatten()[:16] for n, p in model(**core).named_parameters() if p.dim() > 1 and p.numel() >= 32
    }
    directions = torch.stack([values / values.norm() for values in drawn.values()])

    alike = (directions @ directions.T - torch.eye(len(drawn))).abs() > 0.99

    assert len(drawn) >= 8 and not alike.any()


@pytest.mark.parametrize("slot, kind", [(s, k) for s, k in kinds() if s not in ("loops", "initialization")])
def test_a_component_made_alone_has_no_memory_left_unset(slot, kind, monkeypatch):
    real = torch.empty

    def poisoned(*args, **kwargs):
        out = real(*args, **kwargs)
        return out.fill_(torch.nan) if out.is_floating_point() else out

    monkeypatch.setattr(torch, "empty", poisoned)
    assert nn.Parameter(torch.empty(3)).isnan().all(), "the poison must be seen"

    component = make(slot, kind)
    if not isinstance(component, nn.Module):
        return
    component = type(component)(*component.context, **NEEDED.get((slot, kind), {}))

    unset = [name for name, tensor in component.state_dict().items() if tensor.isnan().any()]
    assert unset == []


@pytest.mark.parametrize(
    "initialization, wanted",
    [({"kind": "normal", "value": 0.1}, 0.1), ({"kind": "fan_in", "gain": 2.0}, 2 / 16)],
)
def test_weights_have_the_declared_standard_deviation(initialization, wanted):
    built = mb.LoopedTransformer(512, width=256, core={"layer": {"feedforward": "moe"}}, initialization=initialization)

    feedforward = built.core.layers[0].feedforward
    for weight in (built.embedding.weight, built.core.layers[0].attention.q.weight, feedforward.up):
        assert weight.shape[-1] == 256
        assert float(weight.detach().std()) == pytest.approx(wanted, rel=0.02)


def test_reset_parameters_keeps_declared_values():
    injection = make("injection", {"kind": "lti", "initial_b": 0.7})
    injection.reset_parameters(torch.Generator())

    assert injection.B.detach().unique().tolist() == pytest.approx([0.7])
    assert float(injection.A().detach().max()) == pytest.approx((1 - 2**-8) * 0.36787944, rel=1e-6)
