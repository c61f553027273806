"""Concepts put into the state, and states that are rounded, of loops that are known."""

import pytest
import torch
import torch.nn.functional as F

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures import Samples, measure
from mythos_lab.measures.carry_fidelity import rounded_to
from tests.lab.measures import planted

mb.load_plugins()
N = planted.NUM_TOKENS


def found(model, samples, measure_of):
    (outcome,) = measure(model, samples, [measure_of])
    return {(v.quantity, v.of, v.loop): v.value for v in outcome.values}


def solved(letters, num=300):
    model = planted.permuting(letters)
    tokens = torch.randint(N, (num, 1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model, Samples.of_tokens(tokens, model(tokens).logits.argmax(-1))


def test_every_identity_loop_listens():
    values = found(*solved("---"), "concept_injection")
    assert all(
        values["concept_injection/followed", "", t] == values["concept_injection/flips", "", t] == 1 for t in (1, 2, 3)
    )
    assert values["concept_injection/length", "", None] == pytest.approx(2**0.5)
    assert values["concept_injection/random_flips", "", 2] < 0.5
    assert values["concept_injection/noise_flips", "", None] == 0


def test_a_concept_in_another_language_is_heard_and_not_followed():
    """Before the map b a state of last loops is another token's."""
    values = found(*solved("ab--"), {"kind": "concept_injection", "scale": 2.0})
    assert values["concept_injection/flips", "", 1] > 0.8 and values["concept_injection/followed", "", 1] < 0.3
    assert all(values["concept_injection/followed", "", t] == 1 for t in (2, 3, 4))


def beginning_anew():
    """A loop that goes by the tokens alone in every iteration."""
    if "beginning_anew" not in slot_info("layer").kinds:

        @mb.component("layer", "beginning_anew")
        class BeginningAnew(mb.Layer):
            """The token's own state, whatever comes in."""

            def __init__(self, width: int, max_loops: int = 1) -> None:
                super().__init__()
                self.factor = torch.nn.Parameter(torch.ones(1))

            def forward(self, x, frame=None):
                return self.factor * F.one_hot(frame.tokens, x.shape[-1]).to(x.dtype)

    model = mb.LoopedTransformer(
        N, width=N, norm="none", tie_embeddings=False,
        core={"layer": "beginning_anew", "loops": {"kind": "fixed", "num_loops": 3}},
    )  # fmt: skip
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(N))
        model.head.weight.copy_(torch.eye(N))
    return model.eval()


def test_a_loop_that_begins_anew_listens_in_its_last_iteration_alone():
    tokens = torch.randint(N, (300, 1), generator=torch.Generator().manual_seed(0))
    values = found(beginning_anew(), Samples.of_tokens(tokens, tokens), "concept_injection")
    assert [values["concept_injection/followed", "", t] for t in (1, 2, 3)] == [0, 0, 1]
    assert values["concept_injection/flips", "", 1] == values["concept_injection/random_flips", "", 1] == 0


def test_a_concept_needs_samples():
    tokens = torch.arange(N)[:, None]
    with pytest.raises(ValueError, match="0 answers have the 4 samples that make a concept; expected 2 or more"):
        found(planted.permuting("ab"), Samples.of_tokens(tokens, tokens), "concept_injection")


def test_a_state_on_the_grid_is_carried_exactly_and_one_between_drifts():
    values = found(*solved("abc"), "carry_fidelity")
    for bits in (8, 4, 2):
        assert (
            values["carry_fidelity/cells", f"{bits}_bits", None]
            == values["carry_fidelity/whole", f"{bits}_bits", None]
            == 1
        )
        assert values["carry_fidelity/drift", f"{bits}_bits", 3] < 1e-6
    assert values["carry_fidelity/noise_cells", "", None] == 1
    # Powers of a rotation by a seventh of a turn stand between the levels, and every rounding adds to the last.
    turn, angle = torch.eye(N), torch.tensor(2 * torch.pi / 7)
    turn[:2, :2] = torch.tensor([[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]])
    tokens = torch.zeros(20, 1, dtype=torch.long)
    values = found(
        planted.model(turn.repeat(6, 1, 1)),
        Samples.of_tokens(tokens, tokens),
        {"kind": "carry_fidelity", "bits": [3, 8]},
    )
    assert 0.05 < values["carry_fidelity/drift", "3_bits", 1] < values["carry_fidelity/drift", "3_bits", 6]
    assert values["carry_fidelity/drift", "8_bits", 6] < 0.1 * values["carry_fidelity/drift", "3_bits", 6]


def test_whole_samples_fall_before_their_cells():
    """Two answers a sample, of which one stands close to another token's and falls by rounding."""
    model = planted.permuting("--")
    with torch.no_grad():
        model.embedding.weight[0, 1] = 0.9
        model.embedding.weight[0, 0] = 0.95
        model.embedding.weight[0, 2] = 1.0
        model.head.weight[2] = 0
        model.head.weight[1, 0] = 0.04
    tokens = torch.tensor([[0, 5], [6, 5], [7, 5], [8, 5]]).repeat(10, 1)
    values = found(model, Samples.of_tokens(tokens, tokens), {"kind": "carry_fidelity", "bits": [2]})
    assert values["carry_fidelity/cells", "2_bits", None] == pytest.approx(7 / 8)
    assert values["carry_fidelity/whole", "2_bits", None] == pytest.approx(3 / 4)
    assert values["carry_fidelity/lost", "2_bits", None] == pytest.approx(1 / 8)


def test_rounding_is_to_an_even_grid_of_each_position():
    h = torch.tensor([[1.0, 0.4, -0.6], [0.0, 0.0, 0.0], [100.0, -100.0, 51.0]])
    assert rounded_to(h, 2).tolist() == [[1, 0, -1], [0, 0, 0], [100, -100, 100]]
    assert (rounded_to(rounded_to(h, 5), 5) - rounded_to(h, 5)).abs().max() < 1e-5
