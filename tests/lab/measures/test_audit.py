"""The audit, on models of which it is known what their loops do."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures import Samples, measure
from mythos_lab.measures.commit import commit_iterations
from mythos_lab.tasks.base import IGNORE
from tests.lab.measures import planted
from tests.lab.measures.planted_words import tables

mb.load_plugins()
N = planted.NUM_TOKENS


def found(model, samples, *measures):
    outcomes = measure(model, samples, list(measures))
    values = {(v.metric, v.loop): v.value for outcome in outcomes for v in outcome.values}
    return values, " ".join(outcome.finding for outcome in outcomes)


def solved(letters, num=60):
    """A model of permutations, and samples whose targets are what it answers."""
    model = planted.permuting(letters)
    tokens = torch.randint(N, (num, 1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model, Samples.of_tokens(tokens, model(tokens).logits.argmax(-1))


def test_a_lazy_loop_fails_substitution_although_zeroing_looks_large():
    values, _ = found(*solved("---"), "substitution")
    assert values["substitution/lost", None] == 0
    assert values["substitution/zeroed_lost", None] > 0.8
    assert values["substitution/flips", None] == 0


def test_a_loop_that_works_is_missed():
    values, _ = found(*solved("abc"), "substitution")
    assert values["substitution/lost", None] > 0.7


def test_a_displacement_in_a_random_direction_is_no_work():
    values, _ = found(*solved("abc"), "displacement")
    assert values["displacement/random_lost", None] > 0.5
    assert values["displacement/matched_lost", None] == 0
    assert found(*solved("---"), "displacement")[0]["displacement/random_lost", None] == 0


def test_the_commit_iteration_is_where_the_last_change_is():
    answers = torch.tensor([[0, 1, 2, 3], [0, 2, 2, 3], [0, 1, 0, 3], [0, 1, 2, 3]])
    assert commit_iterations(answers).tolist() == [0, 2, 3, 0]
    values, _ = found(*solved("ab---"), "commit")
    assert 1.5 <= values["commit/mean", None] <= 2
    assert values["commit/share", 3] == values["commit/share", 4] == values["commit/share", 5] == 0
    assert values["commit/idle", None] == 5 - values["commit/mean", None]
    assert values["commit/margin_jump", None] >= 0
    assert found(*solved("---"), "commit")[0]["commit/mean", None] == 0


def test_two_scale_reads_a_half_turn():
    """h -> -h: steps of twice the state, each back where the last came from."""
    values, said = found(planted.model(-torch.eye(N).repeat(4, 1, 1)), planted.samples(10), "two_scale")
    for t in (2, 3, 4):
        assert values["two_scale/step", t] == pytest.approx(2)
        assert values["two_scale/turn", t] == pytest.approx(-1)
        assert values["two_scale/change", t] == pytest.approx(4)
    assert "no evidence" in said


def test_a_state_that_moves_where_nobody_reads_is_settled():
    """The readout does not see the last channel, along which the state runs away."""
    hidden = torch.eye(N)
    hidden[-1, -1] = 2.0
    model = planted.model(hidden.repeat(4, 1, 1))
    with torch.no_grad():
        model.head.weight[-1] = 0
        model.embedding.weight[:, -1] = 1.0
    tokens = torch.randint(N - 1, (30, 1), generator=torch.Generator().manual_seed(0))
    values, _ = found(model, Samples.of_tokens(tokens, tokens), "decoder_margin")
    assert all(values["decoder_margin/displacement", t] > 0.3 for t in range(1, 5))
    assert all(values["decoder_margin/settled", t] == 1 for t in range(1, 5))
    values, _ = found(*solved("aaaa"), "decoder_margin")
    assert values["decoder_margin/settled", 4] < 0.5


def carrying(num_loops=1):
    """A model whose loop brings the token at position 0 to position 1, where a token that says nothing stands."""
    if "carrying" not in slot_info("layer").kinds:

        @mb.component("layer", "carrying")
        class Carrying(mb.Layer):
            """The state one position to the left, times a trained factor."""

            def __init__(self, width: int, max_loops: int = 1) -> None:
                super().__init__()
                self.factor = torch.nn.Parameter(torch.zeros(1))

            def forward(self, x, frame=None):
                return x + self.factor * x.roll(1, 1)

    loops = {"kind": "fixed", "num_loops": num_loops}
    model = mb.LoopedTransformer(
        N, width=N, norm="none", tie_embeddings=False, core={"layer": "carrying", "loops": loops}
    )
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(N))
        model.core.layers[0].factor.fill_(5.0)
    tokens = torch.randint(1, 5, (400, 2), generator=torch.Generator().manual_seed(0))
    tokens[:, 1] = 0
    targets = torch.full_like(tokens, IGNORE)
    targets[:, 1] = tokens[:, 0]
    return model.eval(), Samples.of_tokens(tokens, targets)


def test_a_probe_reads_the_loop_and_not_the_input():
    values, said = found(*carrying(), "probe_floor")
    assert values["probe_floor/loop", None] == 1 and values["probe_floor/input", None] < 0.4
    assert values["probe_floor/untrained", None] < 0.4 and "says little" not in said
    assert values["probe_floor/loop_nats", None] < 0.1
    assert values["probe_floor/floor_nats", None] == pytest.approx(torch.tensor(4.0).log().item(), abs=0.05)


def test_halves_to_fit_on_share_no_sample_that_reads_the_same():
    tokens = torch.randint(9, (400, 2), generator=torch.Generator().manual_seed(0))
    fitted = Samples.of_tokens(tokens, tokens, batch_size=64).fitted()[::2]
    assert 100 < int(fitted.sum()) < 300
    assert not {tuple(row) for row in tokens[fitted].tolist()} & {tuple(row) for row in tokens[~fitted].tolist()}
    few = tokens[:, :1]
    assert Samples.of_tokens(few, few).fitted().tolist() == [i % 2 == 0 for i in range(400)]


def test_an_input_that_gives_the_answer_away_is_flagged():
    values, said = found(*solved("abc", 400), "probe_floor")
    assert values["probe_floor/input", None] == 1
    assert "says little, since the input gives as much away" in said


def test_iterations_that_follow_difficulty_are_told_from_those_that_follow_length():
    """Tokens of orbit k need k iterations: a map that counts down, and stays at 0."""
    down = torch.zeros(N, N)
    down[0, 0] = 1
    for token in range(1, N):
        down[token, token - 1] = 1
    model = planted.model(down.repeat(N, 1, 1))
    tokens = torch.randint(N, (100, 1), generator=torch.Generator().manual_seed(0))
    samples = Samples.of_tokens(tokens, torch.zeros_like(tokens), difficulty=tokens[:, 0])
    values, _ = found(model, samples, "difficulty")
    assert values["difficulty/commit", None] == pytest.approx(1)
    assert ("difficulty/halting", None) not in values, "every position runs as often"


def test_a_curve_rises_where_the_loop_works_and_shares_its_passes():
    values, said = found(*solved("abc"), {"kind": "depth_curve", "depth_factor": 1})
    assert values["depth_curve/accuracy", 3] == 1 and values["depth_curve/accuracy", 1] < 0.4
    assert values["depth_curve/marginal", 3] == 1 - values["depth_curve/accuracy", 2]
    assert "best at 3 loops" in said


@pytest.mark.parametrize("injection, inert", [("add", False), ("none", True)])
def test_a_component_that_changes_no_answer_is_inert(injection, inert):
    maps = torch.eye(N)[tables("ab", N)]
    model = planted.model(maps, injection=injection, depth_signal="learned")
    with torch.no_grad():
        model.core.depth_signal.table.zero_()
    values, said = found(model, planted.samples(40), "knockout")
    assert values["knockout/flips_depth_signal", None] == 0 and "depth_signal is inert" in said
    assert ("knockout/lost_injection", None) in values or inert


ALL = sorted(slot_info("measure").kinds)


@pytest.mark.parametrize("kind", ALL)
def test_every_measure_says_what_it_is(kind):
    made = slot_info("measure").kinds[kind]
    for said in (made.__doc__, made.source, made.null, made.deceives):
        assert said.strip()
    assert all("/" in name and metric.unit and metric.meaning for name, metric in made.quantities.items())
