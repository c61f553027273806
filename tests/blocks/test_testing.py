"""The public contracts find what is wrong with a component: each fails on one that breaks it alone."""

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slots
from mythos_blocks.declaring.spec import slot_of
from mythos_blocks.testing import Case, contracts
from mythos_blocks.testing.case import CORE_SLOTS


@pytest.fixture(autouse=True)
def registry():
    before = {name: dict(info.kinds) for name, info in slots().items()}
    yield
    for name, info in slots().items():
        info.kinds.clear()
        info.kinds.update(before[name])


def test_a_slot_is_what_a_field_takes_and_not_what_it_is_called():
    fields = mb.Loop.Spec.model_fields
    assert slot_of(fields["injection"]) == "injection" and slot_of(fields["schedule"]) is None
    assert "injection" in CORE_SLOTS and "schedule" not in CORE_SLOTS  # of which the laboratory has a slot


class Undescribed(mb.Update):
    """Says nothing of its field."""

    def __init__(self, width, *, share: float = 0.5):
        super().__init__()
        self.share = share

    def forward(self, h, u, carry=None, t=0):
        return torch.lerp(h, u, self.share), None


class Idle(mb.Update):
    """Has a weight that nothing reads."""

    def __init__(self, width):
        super().__init__()
        self.idle = nn.Parameter(torch.ones(width))

    def forward(self, h, u, carry=None, t=0):
        return u, None


class Drawn(mb.Update):
    """Draws a weight by torch's global generator, which no seed of the model's decides."""

    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(width))

    def forward(self, h, u, carry=None, t=0):
        return u * self.scale, None


class Noisy(mb.Update):
    """Draws at evaluation."""

    def __init__(self, width):
        super().__init__()

    def forward(self, h, u, carry=None, t=0):
        return u + torch.randn_like(u), None


class Leaky(mb.Update):
    """Reads the next position."""

    def __init__(self, width):
        super().__init__()

    def forward(self, h, u, carry=None, t=0):
        return u + u.roll(-1, 1), None


class AsBefore(mb.Update):
    """What ``replace`` does."""

    def __init__(self, width):
        super().__init__()

    def forward(self, h, u, carry=None, t=0):
        return u, None


class Reset(mb.Update):
    """Is reset to what its constructor does not set."""

    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def initialize_alone(self):
        """Keeps what the constructor set."""

    def reset_parameters(self, generator):
        nn.init.zeros_(self.scale)

    def forward(self, h, u, carry=None, t=0):
        return u + self.scale, None


class Narrow(mb.Norm):
    """Computes in float32 and stays there."""

    def __init__(self, width):
        super().__init__()

    def forward(self, x, t=None):
        return x.float()


class Unsure(mb.Injection):
    """Fuses its steps without the iteration."""

    def __init__(self, width, input_width=None):
        super().__init__()

    def combine(self, h, e, signal=None, t=0):
        return super().combine(h + e * 0.5**t, e, signal, t)

    def advance(self, h, e, y, next_signal=None, t=0, next_t=1):
        return super().advance(h, e, y, next_signal, t, 1)


class Overstated(mb.Injection):
    """Says less of its spectral radius than is so."""

    def __init__(self, width, input_width=None):
        super().__init__()
        self.a = nn.Parameter(torch.full((width,), 0.5))

    def inject(self, h, e, y, t=0):
        return self.linear_part(h) + y

    def linear_part(self, h):
        return self.a.sigmoid() * h

    def rho(self):
        return self.a.sigmoid().mean()


class Growing(Overstated):
    """Carries on more than there was."""

    def linear_part(self, h):
        return self.a * h

    def rho(self):
        return self.a.abs().max()


class Half(mb.Halting):
    """Weighs each state by one half."""

    def __init__(self, width):
        super().__init__()

    def start(self, h, real):
        return mb.HaltingState(torch.zeros_like(h), real)

    def observe(self, state, h, *, x, t, running, last):
        weight = torch.full(h.shape[:2], 0.5)
        return mb.HaltingState(state.readout + weight[..., None] * h, state.real, [*state.weights, weight])


class Biased(mb.LoopSampler):
    """Draws one less than it says."""

    def __init__(self):
        self.gradient_window = None

    def pmf(self):
        return torch.tensor([0, 0.5, 0, 0.5], dtype=torch.float64)

    def draw(self, generator, num):
        return (super().draw(generator, num) - 1).clamp_min(1)


class Forgetful(mb.DepthSignal):
    """Has no row beyond its table but zeros."""

    def __init__(self, width, max_loops):
        super().__init__()
        self.reach, self.table = max_loops, nn.Parameter(torch.zeros(max_loops, width))

    def forward(self, t, positions=None):
        t = torch.as_tensor(t)
        return self.table[t.clamp_max(self.reach - 1)] * (t < self.reach)


class Blind(mb.Attention):
    """Reads its own position alone, whatever the mask allows."""

    def __init__(self, width, max_loops=1):
        super().__init__()
        self.out = nn.Linear(width, width)

    def forward(self, x, frame=None):
        return self.out(x)


class Everywhere(mb.Objective):
    """Scores ignored positions too."""

    def __init__(self):
        pass

    def loss(self, model, out, targets):
        return out.logits.logsumexp(-1).mean()


class Constant(mb.Objective):
    """Reads no model."""

    def __init__(self):
        pass

    def loss(self, model, out, targets):
        return torch.zeros((), requires_grad=True) * 2


class Overflowing(mb.Feedforward):
    """Leaves what bfloat16 can hold."""

    def __init__(self, width, max_loops=1):
        super().__init__()

    def forward(self, x, frame=None):
        return x * 1e39 if x.dtype is torch.float32 else x / 0


class Unnamed(mb.Update):
    """Is another when its width is given by name."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("drawn", torch.rand(1) if Unnamed.calls else torch.zeros(1))
        Unnamed.calls += 1

    calls = 0

    def forward(self, h, u, carry=None, t=0):
        return u, None


BROKEN = {
    "every_field_is_described_and_round_trips": ("update", Undescribed),
    "what_its_parent_supplies_goes_by_name_too": ("update", Unnamed),
    "alone_it_has_the_values_that_it_declares": ("update", Reset),
    "its_model_learns_everywhere": ("update", Idle),
    "its_model_is_what_its_seed_says": ("update", Drawn),
    "evaluation_is_deterministic_and_runs_no_more_loops_than_asked": ("update", Noisy),
    "its_model_looks_ahead_nowhere": ("update", Leaky),
    "its_model_runs_in_bfloat16": ("feedforward", Overflowing),
    "it_keeps_dtype_and_shape": ("norm", Narrow),
    "it_reads_earlier_positions_and_those_that_the_mask_allows": ("attention", Blind),
    "its_rho_is_that_of_its_linear_part": ("injection", Overstated),
    "its_rho_stays_below_one_after_a_huge_step": ("injection", Growing),
    "advance_is_inject_then_combine": ("injection", Unsure),
    "its_mass_is_one_at_every_loop_count": ("halting", Half),
    "it_draws_the_distribution_that_it_reports": ("loops", Biased),
    "iterations_beyond_its_table_use_the_last_row": ("depth_signal", Forgetful),
    "knocked_out_its_model_is_the_one_without_it": ("update", AsBefore),
    "it_is_a_number_that_reaches_the_model": ("objective", Constant),
    "what_is_not_scored_does_not_count": ("objective", Everywhere),
}
BY_NAME = {contract.__name__: contract for slot in slots() for contract in contracts(slot)}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_contract_fails_on_what_breaks_it(name):
    slot, cls = BROKEN[name]
    mb.component(slot, "broken")(cls)
    with pytest.raises(AssertionError):
        BY_NAME[name](Case(slot, "broken"))


def test_a_slot_that_there_is_not_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'injection'"):
        contracts("injections")
