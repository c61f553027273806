"""Contracts that every registered component keeps; a new one is held to them without writing anything."""

import inspect

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slots
from tests.blocks.parts import randomise

WIDTH, VOCAB = 32, 40
TOKENS = torch.randint(0, VOCAB, (2, 9), generator=torch.Generator().manual_seed(0))


def kinds(*names):
    return [(slot, kind) for slot in names or slots() for kind in slots()[slot].kinds]


BLOCKS = [(slot, kind) for slot, kind in kinds() if slots()[slot].kinds[kind].__module__.startswith("mythos_blocks")]


def cls(slot, kind):
    return slots()[slot].kinds[kind]


def layer(slot, kind):
    return {slot: kind}


# What a kind needs besides itself to be part of a model that learns everywhere.
NEEDS = {
    ("attention", "mixer"): {"num_positions": 9},
    ("gradient", "implicit"): {"num_iterations": 4},
    ("kv_policy", "anchor"): {"num_exact": 2},
    ("penalty", "distillation"): {"teacher": "teacher.safetensors"},
    ("prefix", "memory"): {"num_positions": 2},
    ("prefix", "puzzle"): {"num_puzzles": VOCAB},
}
# What teaches a rule that the final loss alone does not reach.
OBJECTIVES = {("halting", "gate_cdf"): mb.Expected(), ("halting", "q_head"): mb.SupervisedHalting()}
MODEL_SLOTS = {field for field in mb.LoopedTransformer.Spec.model_fields if field in slots()} - {"core", "norm"}
CORE_SLOTS = {field for field in mb.Loop.Spec.model_fields if field in slots()}
IN_LAYER = ("attention", "feedforward", "norm", "depth_attention")


def model_with(slot, kind, num_loops=3, **core):
    """A small looped model that contains the component."""
    core = {"loops": {"kind": "fixed", "num_loops": num_loops}, **core}
    declared = {"kind": kind, **NEEDS.get((slot, kind), {})}
    if slot in IN_LAYER:
        core["layer"] = {"kind": "mixture" if slot == "depth_attention" else "pre_norm", slot: declared}
    elif slot in ("initial_state", "gradient"):
        core |= {slot: declared, "injection": "add"}
    elif slot == "core":
        core = {"kind": kind, "loops": core["loops"]}
    elif slot in MODEL_SLOTS:
        return mb.LoopedTransformer(VOCAB, width=WIDTH, core=core, **{slot: declared})
    elif slot in CORE_SLOTS:
        core[slot] = declared
    return mb.LoopedTransformer(VOCAB, width=WIDTH, prelude={"depth": 1}, core=core)


# They differ from the off kind where positions stop, or in decoding.
ALIKE = [("kv_policy", "last"), ("kv_policy", "recursion_wise")]


def mask_of(slot, kind):
    """The mixer reads all positions and says so."""
    return mb.AttentionMask(causal=(slot, kind) != ("attention", "mixer"))


def learns(slot, kind):
    """Not every component has a place in a training pass."""
    return slot not in ("objective", "penalty", "exit")


def fields_of(component):
    """The keyword-only parameters of the constructor, and of its bases' as far as it passes ``**fields`` on."""
    fields = set()
    for base in component.__mro__:
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values() if "__init__" in vars(base) else []
        fields |= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        if parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return fields
    return fields


@pytest.mark.parametrize("slot, kind", BLOCKS)
def test_every_field_is_described_and_round_trips(slot, kind):
    component = cls(slot, kind)
    fields = fields_of(component)
    assert all(field.description for field in component.Spec.model_fields.values())
    assert fields == set(component.Spec.model_fields) - {"kind"}
    spec = component.Spec(**NEEDS.get((slot, kind), {}))
    assert component.Spec.model_validate_json(spec.model_dump_json()) == spec
    assert inspect.getdoc(component)


@pytest.mark.parametrize("slot, kind", [one for one in BLOCKS if learns(*one)])
def test_a_model_with_it_learns_everywhere_and_is_deterministic(slot, kind):
    model = model_with(slot, kind)
    mask = mask_of(slot, kind)
    for _ in range(2):
        model.zero_grad()
        out = model(TOKENS, mask, max(3, model.core.loops.max_loops), record=True)
        loss = OBJECTIVES.get((slot, kind), mb.Final()).loss(model, out, TOKENS)
        (loss if out.auxiliary_loss is None else loss + out.auxiliary_loss).backward()
        for parameter in model.parameters():
            if parameter.dim() >= 2 and not parameter.any() and parameter.grad is not None and parameter.grad.any():
                parameter.data.normal_(std=0.02)  # the first step would move it, and let gradient through
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    model, again = model_with(slot, kind), model_with(slot, kind)
    for (name, one), (_, other) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    model.initialize(1)
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    with torch.device("meta"):
        meta = model.spec.build(VOCAB)
    assert sum(p.numel() for p in meta.parameters()) == sum(p.numel() for p in model.parameters())
    assert meta(TOKENS.to("meta"), mask, 2).logits.shape == (2, 9, VOCAB)


@torch.no_grad()
@pytest.mark.parametrize("slot, kind", [one for one in BLOCKS if learns(*one) or one[0] == "exit"])
def test_evaluation_is_deterministic_and_no_more_loops_run_than_are_asked_for(slot, kind):
    model, mask = model_with(slot, kind).eval(), mask_of(slot, kind)
    for num_loops in (1, 5):
        out = model(TOKENS, mask, num_loops)
        assert torch.equal(out.logits, model(TOKENS, mask, num_loops).logits)
        assert 1 <= int(out.executed.min()) and int(out.executed.max()) == out.num_loops <= num_loops * len(
            model.core.layers
        )


@torch.no_grad()
@pytest.mark.parametrize(
    "slot, kind", [one for one in BLOCKS if learns(*one) and one[0] not in ("loops", "initialization")]
)
def test_the_whole_model_is_causal(slot, kind):
    if not mask_of(slot, kind).causal:
        return
    model = model_with(slot, kind).eval()
    changed = TOKENS.clone()
    changed[:, 6] = (changed[:, 6] + 1) % VOCAB
    before, after = model(TOKENS).logits, model(changed).logits
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=1e-5)
    assert (before[:, 6:] - after[:, 6:]).abs().max() > 1e-6


@pytest.mark.parametrize("slot, kind", kinds("attention"))
def test_attention_is_causal_and_obeys_the_task_mask(slot, kind):
    if not mask_of(slot, kind).causal:
        return
    attention = model_with(slot, kind).core.layers[0].attention
    x = torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(3))
    changed = x.clone()
    changed[:, 5:] += 1
    before, after = (attention(t) for t in (x, changed))
    torch.testing.assert_close(before[:, :5], after[:, :5], rtol=0, atol=1e-6)
    assert (before[:, 5:] - after[:, 5:]).abs().max() > 1e-7
    allowed = torch.eye(9, dtype=torch.bool).expand(2, 9, 9).clone()
    allowed[:, 2, 7] = True
    before, after = (attention(t, mb.Frame(mb.AttentionMask(causal=False, allowed=allowed))) for t in (x, changed))
    untouched = [0, 1, 3, 4]
    torch.testing.assert_close(before[:, untouched], after[:, untouched], rtol=0, atol=1e-6)
    assert (before[:, 2] - after[:, 2]).abs().max() > 1e-7
    torch.testing.assert_close(attention(x[:1]), attention(x)[:1])


@pytest.mark.parametrize("slot, kind", kinds("attention", "feedforward", "injection", "halting"))
def test_it_runs_in_bfloat16(slot, kind):
    model = model_with(slot, kind).to(torch.bfloat16)
    assert model(TOKENS, mask_of(slot, kind)).logits.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("slot, kind", kinds("injection"))
def test_measured_rho_is_the_closed_form(slot, kind, dtype):
    injection = model_with(slot, kind).core.injection.to(dtype)
    for parameter in injection.parameters():
        parameter.data += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)).to(dtype) / 2
    if injection.rho() is None:
        assert injection.linear_part(torch.randn(WIDTH, dtype=dtype)) is None
        return
    jacobian = torch.autograd.functional.jacobian(injection.linear_part, torch.randn(WIDTH, dtype=dtype))
    measured = torch.linalg.eigvals(jacobian.float()).abs().max()
    tolerance = 1e-2 if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(measured, injection.rho().float(), rtol=tolerance, atol=0)
    # What is carried on is what the iteration's maps do to h, apart from e and from the core.
    zero = torch.zeros(WIDTH)
    injection = injection.float()
    h = torch.randn(WIDTH)
    after = injection.inject(h, zero, zero)
    before = injection.combine(h, zero, None)
    carried = injection.linear_part(h)
    assert any(torch.allclose(carried, reached, atol=1e-6) for reached in (after, before))


@pytest.mark.parametrize("step", [1e3, -1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("slot, kind", kinds("injection"))
def test_rho_stays_below_one_after_a_huge_step(slot, kind, dtype, step):
    injection = model_with(slot, kind).core.injection
    for parameter in injection.parameters():
        parameter.data += step
    rho = injection.rho()
    assert rho is None or rho.to(dtype) < 1


@pytest.mark.parametrize("slot, kind", kinds("injection"))
def test_advance_is_inject_then_combine(slot, kind):
    injection = model_with(slot, kind).core.injection
    h, e, y = (torch.randn(2, 3, WIDTH, requires_grad=True) for _ in range(3))
    signal = torch.randn(WIDTH)
    fused = injection.advance(h, e, y, signal)
    stepped = injection.inject(h, e, y)
    plain = (stepped, injection.combine(stepped, e, signal))
    gradients = []
    for outputs in (fused, plain):
        gradients.append(
            torch.autograd.grad(
                (outputs[0].sin() + outputs[1].cos()).sum(), (h, e, y), retain_graph=True, allow_unused=True
            )
        )
    for a, b in zip((*fused, *gradients[0]), (*plain, *gradients[1]), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [-6.0, -1.0, 0.0, 6.0])
@pytest.mark.parametrize("slot, kind", kinds("halting"))
def test_halting_mass_is_one_at_every_loop_count(slot, kind, bias):
    model = model_with(slot, kind).eval()
    for parameter in model.core.halting.parameters():
        parameter.data.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
        if parameter.numel() == 1:
            parameter.data.fill_(bias)
    for num_loops in range(1, 17):
        halting = model(TOKENS, iterations=num_loops).halting
        mass = torch.stack(halting.weights).sum(0)
        torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-5)
        assert (halting.depth_read() >= 1 - 1e-5).all() and (halting.depth_read() <= num_loops + 1e-5).all()


@pytest.mark.parametrize("slot, kind", kinds("loops"))
def test_a_sampler_draws_the_distribution_that_it_reports(slot, kind):
    sampler = cls(slot, kind)()
    pmf = sampler.pmf()
    assert pmf[0] == 0 and abs(float(pmf.sum()) - 1) < 1e-12
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([sampler.sample(generator) for _ in range(20_000)], dtype=torch.float64)
    assert abs(float(draws.mean()) - sampler.mean) <= 4 * float(draws.std()) / 20_000**0.5 + 1e-9
    assert draws.min() >= 1 and draws.max() <= sampler.max_loops
    for q in (0.05, 0.5, 0.95):
        at = sampler.quantile(q)
        assert float((draws <= at).double().mean()) >= q - 0.02 and float((draws < at).double().mean()) <= q + 0.02
    if hasattr(sampler.spec, "mean"):
        assert sampler.mean == pytest.approx(sampler.spec.mean, abs=1e-9)


# Knocked out of a core that computes something else with them; the initial state needs an injection, and two slots
# act on training alone.
OFF = [
    (name, info.off)
    for name, info in slots().items()
    if info.off and name in CORE_SLOTS and name not in ("initial_state", "gradient", "stabilizer", "exit")
]


@pytest.mark.parametrize("slot, kind", [(s, k) for s, off in OFF for k in slots()[s].kinds if k != off])
def test_a_knocked_out_component_leaves_the_model_without_it(slot, kind):
    model = model_with(slot, kind).eval()
    randomise(getattr(model.core, slot), std=0.2)
    if slot == "halting":
        for parameter in model.core.halting.parameters():
            if parameter.numel() == 1:
                parameter.data.fill_(-3.0 if kind == "expert_choice" else 3.0)
    without = model_with(slot, slots()[slot].off).eval()
    without.load_state_dict({k: v for k, v in model.state_dict().items() if k in without.state_dict()})
    trained = model(TOKENS, iterations=6).logits
    with mb.knocked_out(model.core, slot):
        assert torch.equal(model(TOKENS, iterations=6).logits, without(TOKENS, iterations=6).logits)
    assert torch.equal(model(TOKENS, iterations=6).logits, trained)
    if (slot, kind) not in ALIKE:
        assert not torch.equal(trained, without(TOKENS, iterations=6).logits)


@pytest.mark.parametrize("slot, kind", kinds("depth_signal", "depth_adapter"))
def test_indices_beyond_the_table_reuse_its_last_row(slot, kind):
    part = getattr(model_with(slot, kind).core, slot)
    if part.reach is None or kind == "loop_lora":
        return
    randomise(part)
    call = (lambda t: part(t)) if slot == "depth_signal" else (lambda t: part(torch.ones(WIDTH), t))
    assert torch.equal(call(part.reach - 1), call(part.reach + 5))
    assert not torch.equal(call(0), call(part.reach - 1))


def test_models_that_share_a_parameter_share_its_initial_value():
    one = dict(model_with("injection", "lti").named_parameters())
    other = dict(model_with("injection", "none").named_parameters())
    assert len(other) > 5
    assert all(torch.equal(value, one[name]) for name, value in other.items())


def test_components_are_modules_or_plain_classes_with_a_spec():
    for slot, kind in BLOCKS:
        component = cls(slot, kind)
        assert (component.slot, component.kind) == (slot, kind)
        assert issubclass(component, (nn.Module, mb.Component))
