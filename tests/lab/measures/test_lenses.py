"""Lenses, on models of which it is known where the answer stands, and in which basis."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures import Samples, Subject, measure
from mythos_lab.measures.measuring import declared
from mythos_lab.measures.thinning import spread, thinned
from mythos_lab.recipe import load_recipe
from mythos_lab.tasks.base import IGNORE, Batch
from mythos_lab.training.assembly import assemble
from tests.lab.measures import planted
from tests.lab.measures.planted_words import tables
from tests.lab.measures.test_audit import carrying

mb.load_plugins()
N = planted.NUM_TOKENS
LENSES = ("logit_lens", "coda_lens", "tuned_lens")


def read(model, samples, *lenses, **fields):
    outcomes = measure(model, samples, [{"kind": lens, **fields} for lens in lenses])
    values = {(v.quantity, v.of, v.loop): v.value for outcome in outcomes for v in outcome.values}
    return values, {outcome.kind: outcome.finding for outcome in outcomes}


def solved(model, num=300, answers=None):
    """Samples whose targets are what the model answers."""
    tokens = torch.randint(N, (num, 1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return Samples.of_tokens(tokens, model(tokens).logits.argmax(-1), answers=answers)


def sharp(letters, factor=6.0):
    """A model of permutations whose states have one large channel, so that its output is sure of the answer."""
    model = planted.permuting(letters)
    with torch.no_grad():
        model.embedding.weight.mul_(factor)
    return model


def rotated(letters):
    """The same loop in another basis, from which the coda turns back before the head."""
    planted.register()
    if "turning" not in slot_info("layer").kinds:

        @mb.component("layer", "turning")
        class Turning(mb.Layer):
            """A fixed matrix."""

            def __init__(self, width: int, max_loops: int = 1) -> None:
                super().__init__()
                self.map = torch.nn.Parameter(torch.eye(width))

            def forward(self, x, frame=None):
                return x @ self.map

    turn = torch.linalg.qr(torch.randn(N, N, generator=torch.Generator().manual_seed(3)))[0]
    maps = torch.eye(N)[tables(letters, N)]
    loops = {"kind": "fixed", "num_loops": len(letters)}
    model = mb.LoopedTransformer(
        N, width=N, norm="none", tie_embeddings=False, core={"layer": "planted", "loops": loops},
        coda={"depth": 1, "layer": "turning"},
    )  # fmt: skip
    with torch.no_grad():
        model.embedding.weight.copy_(6.0 * turn)
        model.head.weight.copy_(torch.eye(N))
        model.core.layers[0].maps.copy_(turn.T @ maps @ turn)
        model.coda.layers[0].map.copy_(turn.T)
    return model.eval()


@pytest.mark.parametrize("lens", LENSES)
def test_the_answer_is_read_from_the_loop_that_makes_it(lens):
    model = sharp("ab---")
    values, _ = read(model, solved(model), lens)
    assert all(values[f"{lens}/first", "state/prediction", t] == 1 for t in (2, 3, 4, 5))
    assert lens == "tuned_lens" or values[f"{lens}/first", "state/prediction", 1] < 0.3
    assert values[f"{lens}/rank", "state/control", 5] > 2
    assert values[f"{lens}/kl", "state", 5] < 0.01
    assert ("layer_0", "prediction") not in {tuple(of.split("/")) for _, of, _ in values}, "where the state stands"


@pytest.mark.parametrize("lens", LENSES)
def test_an_identity_loop_reads_the_same_at_every_loop(lens):
    model = sharp("---")
    values, said = read(model, solved(model), lens)
    for t in range(4):
        assert values[f"{lens}/first", "state/prediction", t] == 1 and values[f"{lens}/off", "state", t] == 0
    assert (
        values[f"{lens}/monotone", "state/prediction", None] == values[f"{lens}/monotone", "state/control", None] == 1
    )
    assert "nowhere off" in said[lens] and "before the first loop" not in said[lens]
    assert values[f"{lens}/noise_kl", "", None] == pytest.approx(0, abs=1e-6)


def test_a_turned_state_is_marked_and_the_tuned_lens_reads_it():
    model = rotated("ab")
    values, said = read(model, solved(model, 600), *LENSES)
    assert values["logit_lens/first", "state/prediction", 2] < 0.5 and values["logit_lens/off", "state", 2] == 1
    assert "off its distribution at" in said["logit_lens"] and "state in 2 of 2 loops" in said["logit_lens"]
    assert values["coda_lens/first", "state/prediction", 2] == 1 and values["coda_lens/off", "state", 2] == 0
    assert values["tuned_lens/first", "state/prediction", 2] > 0.95 and values["tuned_lens/off", "state", 2] == 0
    assert values["tuned_lens/kl", "state", 2] < 0.2 < values["tuned_lens/logit_kl", "state", 2]


def test_numbers_of_a_reading_are_those_of_its_distribution():
    model = sharp("--", factor=2.0)
    values, _ = read(model, solved(model, answers=tuple(range(3))), "logit_lens")
    logs = (2.0 * torch.eye(N)[0]).log_softmax(0)
    assert values["logit_lens/entropy", "state", 1] == pytest.approx(float(-(logs.exp() * logs).sum()), rel=1e-5)
    assert 0 < values["logit_lens/numeric", "state", 1] <= 3 / 5
    assert ("coda_lens/numeric", "state", 1) not in read(model, solved(model), "coda_lens")[0]


def test_an_intermediate_result_comes_before_the_answer_and_its_control_does_not():
    model = sharp("ab")
    tokens = torch.randint(N, (200, 1), generator=torch.Generator().manual_seed(0))
    first, second = torch.from_numpy(tables("ab", N))
    middle, final = first.argsort()[tokens[:, 0]], None
    with torch.no_grad():
        states = torch.eye(N)[tokens[:, 0]] @ model.core.layers[0].maps[0]
        middle, final = states.argmax(-1), model(tokens).logits.argmax(-1)
    apart = middle != final[:, 0]
    other = torch.stack(
        [next(t for t in torch.arange(N) if t not in (m, f)) for m, f in zip(middle, final, strict=True)]
    )
    batch = Batch(tokens, final, records={"intermediate": middle, "control": other})
    values, _ = read(model, Samples((batch,)), "logit_lens")
    assert values["logit_lens/first", "state/intermediate", 1] == 1
    assert values["logit_lens/before", "state/intermediate", None] == pytest.approx(float(apart.float().mean()))
    assert values["logit_lens/before", "state/control", None] == 0
    assert values["logit_lens/rank", "state/control", 1] > 1
    with pytest.raises(
        ValueError, match="records: no 'intermediat' of one token a sample; did you mean 'intermediate'"
    ):
        read(model, Samples((batch,)), "logit_lens", records=["intermediat"])


def test_a_map_on_an_untrained_model_shows_what_the_input_gives_away():
    model = sharp("ab")
    values, _ = read(model, solved(model, 600), "tuned_lens")
    assert values["tuned_lens/untrained_kl", "", 2] < 0.2 * values["tuned_lens/prior_kl", "", None]
    model, samples = carrying(num_loops=2)
    with torch.no_grad():
        model.embedding.weight[0] = 0
        model.head.weight.copy_(torch.eye(N))
    values, _ = read(model, samples, "tuned_lens")
    assert values["tuned_lens/untrained_kl", "", 1] > 0.8 * values["tuned_lens/prior_kl", "", None]
    assert values["tuned_lens/first", "state/prediction", 1] > 0.95


def by_heart():
    """A loop that looks a pair of tokens up: first a code that says nothing of the answer, then the answer."""
    if "by_heart" not in slot_info("layer").kinds:

        @mb.component("layer", "by_heart")
        class ByHeart(mb.Layer):
            """A row for each iteration and pair."""

            def __init__(self, width: int, max_loops: int = 1) -> None:
                super().__init__()
                self.rows = torch.nn.Parameter(torch.zeros(max_loops, N * N, width))

            def forward(self, x, frame=None):
                pair = N * frame.tokens[:, :1] + frame.tokens[:, 1:]
                return self.rows[frame.t][pair.expand(x.shape[:2])]

    model = mb.LoopedTransformer(
        N, width=N, norm="none", tie_embeddings=False,
        core={"layer": "by_heart", "loops": {"kind": "fixed", "num_loops": 2}},
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.head.weight.copy_(torch.eye(N))
        model.core.layers[0].rows[0].normal_(generator=generator)
        model.core.layers[0].rows[1] = 6.0 * torch.eye(N)[torch.randint(N, (N * N,), generator=generator)]
    return model.eval()


def test_maps_know_no_samples_by_heart():
    """There are 144 different samples, each several times; their codes say nothing of the others' answers."""
    tokens = torch.randint(N, (1000, 2), generator=torch.Generator().manual_seed(0))
    targets = torch.full_like(tokens, IGNORE)
    targets[:, 1] = 0
    values, _ = read(by_heart(), Samples.of_tokens(tokens, targets), "tuned_lens")
    assert values["tuned_lens/kl", "state", 1] < 1.2 * values["tuned_lens/prior_kl", "", None]
    assert values["tuned_lens/kl", "state", 1] < 1.1 * values["tuned_lens/logit_kl", "state", 1]
    assert values["tuned_lens/first", "state/prediction", 1] < 0.3


def test_few_answers_are_too_few_for_maps():
    model = sharp("ab")
    with pytest.raises(ValueError, match="20 answers are too few to fit maps on; expected 40 or more"):
        read(model, solved(model, 20), "tuned_lens")


def test_at_most_so_many_answers_are_looked_at():
    assert spread(10, 20) == list(range(10)) and spread(10, 3) == [0, 4, 9] and spread(10, 1) == [0]
    assert thinned(10, 3).nonzero()[:, 0].tolist() == [0, 4, 9]


def test_the_probe_of_huginn_follows_intermediate_and_control_at_both_layers():
    recipe = load_recipe("huginn_probed")
    model, task = assemble(recipe)
    samples = Samples.of(task, recipe, num_samples=100)
    kinds = [each.kind for each in declared(recipe, Subject(model, samples))]
    assert kinds == ["loop_verdict", *LENSES, "concept_injection"]
    values, _ = read(model, samples, "coda_lens")
    for loop in range(1, 7):
        for token in ("prediction", "answer", "intermediate", "control"):
            assert 1 <= values["coda_lens/rank", f"layer_0/{token}", loop] <= task.vocab_size
    assert values["coda_lens/kl", "state", 6] == pytest.approx(0, abs=1e-5), "the coda on the last state is the model"


def test_a_state_before_the_first_loop_that_is_off_is_said_to_be():
    model = sharp("ab---")
    values, said = read(model, solved(model), "logit_lens")
    is_off = values["logit_lens/off", "state", 0] == 1
    assert is_off and "off its distribution at the state before the first loop" in said["logit_lens"]
