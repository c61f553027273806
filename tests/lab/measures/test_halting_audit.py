"""The audit of halting, on a rule that halts where the test says and a loop whose answers are known by iteration."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures import Samples, Subject
from mythos_lab.measures.measuring import built, measure
from tests.lab.measures import planted
from tests.lab.measures.test_every_model import CORES
from tests.lab.measures.test_padding import randomised, recipe

mb.load_plugins()
N, T = planted.NUM_TOKENS, 6


def register():
    """A rule that halts a position after ``stops[token]`` iterations, and reads its state there."""
    if "planned" in slot_info("halting").kinds:
        return

    @mb.component("halting", "planned")
    class Planned(mb.Halting):
        """Halts where it was planned."""

        freezes = chooses = True

        def __init__(self, width: int) -> None:
            super().__init__()
            self.stops = torch.nn.Parameter(torch.zeros(width))

        def start(self, h, real):
            none = torch.zeros(h.shape[:2])
            return mb.HaltingState(
                readout=h, real=real, halted=none.bool(), num_updates=none, kept={"at": h @ self.stops}
            )

        def observe(self, state, h, *, x, t, running, last):
            ends = (t + 1 >= state.kept["at"]) | last
            return mb.HaltingState(
                readout=h, real=state.real, weights=[*state.weights, ends.float()], halted=ends,
                num_updates=state.num_updates + 1, kept=state.kept,
            )  # fmt: skip


def counting_down(stops, **more):
    """Token k becomes k - 1 in each iteration, down to 0, which is the answer: right from iteration k on."""
    register()
    down = torch.zeros(N, N)
    down[0, 0] = 1
    for token in range(1, N):
        down[token, token - 1] = 1
    model = planted.model(down.repeat(T, 1, 1), halting="planned")
    with torch.no_grad():
        model.core.halting.stops.copy_(torch.tensor(stops, dtype=torch.float))
    tokens = torch.arange(1, 6).repeat(20)[:, None]
    return model, Samples.of_tokens(
        tokens, torch.zeros_like(tokens), difficulty=tokens[:, 0], difficulty_is_depth=True, **more
    )


def audited(model, samples, **fields):
    (outcome,) = measure(model, samples, [{"kind": "halting_audit", **fields}])
    return {(v.quantity.partition("/")[2], v.of, v.loop): v.value for v in outcome.values}, outcome


def test_halting_at_the_oracle_wastes_and_misses_nothing():
    found, outcome = audited(*counting_down(range(N)))
    assert found["wasted", "", None] == found["missing", "", None] == found["premature", "", None] == 0
    assert found["early", "", None] == found["early_right", "", None] == 1 and found["lost", "", None] == 0
    for t in range(1, 6):
        assert found["ran", "", t] == pytest.approx(0.2) and found["accuracy", "", t] == 1
        assert found["mass", "", t] == pytest.approx(0.2)
        assert found["mean_loops", f"difficulty {t}", None] == found["mean_loops", f"token {t}", None] == t
    assert found["ran", "", T] == 0 and ("accuracy", "", T) not in found
    assert found["mass_left", "", None] == pytest.approx(0) and found["mean_loops", "", None] == pytest.approx(3)
    assert "100.0% of answers halt before 6 loops, 100.0% of those right" in outcome.finding


def test_halting_one_loop_short_is_premature_by_one():
    found, _ = audited(*counting_down([max(1, k - 1) for k in range(N)]))
    # Token 1 needs one loop and gets it; 2 to 5 stop one short of 0.
    assert found["early_right", "", None] == pytest.approx(0.2) and found["premature", "", None] == pytest.approx(0.8)
    assert found["missing", "", None] == pytest.approx(0.8) and found["wasted", "", None] == 0
    assert found["lost", "", None] == pytest.approx(0.8)


def test_halting_two_loops_late_wastes_two():
    found, _ = audited(*counting_down([k + 2 for k in range(N)]))
    # 1, 2, 3 stop after 3, 4, 5 loops; 4 and 5 meet the end after 6: two and one too many.
    assert found["early", "", None] == pytest.approx(0.6) and found["wasted", "", None] == pytest.approx(9 / 5)
    assert found["ran", "", T] == pytest.approx(0.4) and found["missing", "", None] == 0


def test_an_answer_that_more_loops_would_spoil_is_rescued():
    model, samples = counting_down([1] * N)
    targets = samples.batches[0].tokens - 1
    found, _ = audited(model, Samples.of_tokens(samples.batches[0].tokens, targets))
    # All stop after one loop, at k - 1, which is right; all loops would come to 0, right of token 1 alone.
    assert found["rescued", "", None] == pytest.approx(0.8) and found["early_right", "", None] == 1
    assert found["lost", "", None] == pytest.approx(-0.8) and ("wasted", "", None) not in found


def test_classes_are_the_callers_slices_and_the_most_frequent_tokens():
    model, samples = counting_down(range(N), slices={"odd": (torch.arange(1, 6).repeat(20) % 2)})
    found, _ = audited(model, samples, num_classes=2)
    assert found["mean_loops", "odd 1", None] == pytest.approx(3) and found["mean_loops", "odd 0", None] == 3
    assert len([key for key in found if key[1].startswith("token")]) == 2


def test_exits_are_audited_too_and_a_loop_without_rules_says_so():
    model, _ = randomised(recipe({"exit": {"kind": "cosine", "threshold": 2.0, "min_loops": 1}}))
    tokens = torch.zeros(30, 4, dtype=torch.long)
    samples = Samples.of_tokens(tokens, tokens, mask="full")
    found, _ = audited(model, samples)
    ends = int(model.core.loops.eval_loops)
    assert found["early", "", None] == 1 and found["ran", "", ends] == 0
    bare = Subject(randomised(recipe(CORES["draws"]))[0], samples)
    assert built("halting_audit").refuses(bare) == "nothing halts: core.halting and core.exit are 'none'"
