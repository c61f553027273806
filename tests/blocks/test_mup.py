"""The maximal update parametrisation: what holds at the base, what follows from it, and that it covers every kind."""

import copy

import pytest
import torch
import torch.nn.functional as F

import mythos_blocks as mb
from mythos_blocks.checkpoints import load_model, save
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.model.growth import Sides
from tests.blocks import covering
from tests.blocks.covering import VOCAB, mask_of, tokens
from tests.blocks.covering import covering as cores

BASE, WIDE = 32, 256


def model(core, width, *, has_base=True, **fields):
    """A model of the covering declarations at another width, its state as many times wider as theirs."""
    core, base = copy.deepcopy(core), {"width": BASE}
    if "state_width" in core:
        ratio = core["state_width"] // covering.WIDTH
        core["state_width"], base["core.state_width"] = ratio * width, ratio * BASE
    fields = {"initialization": "normal", "mup_base": base if has_base else None, **fields}
    return mb.LoopedTransformer(VOCAB, width=width, prelude={"depth": 1}, core=core, **fields)


def moved(core, width, has_base):
    """Root mean squares of what three steps of Adam change of the loop's last state, and of the logits."""
    of_width, ids, mask = model(core, width, has_base=has_base), tokens(), mask_of(core)
    sides = of_width.growth.sides
    optimizer = torch.optim.Adam(
        [{"params": [p], "lr": 1e-3 * sides.get(name, Sides()).adam} for name, p in of_width.named_parameters()],
        betas=(0.9, 0.95),
    )

    def read(training):
        torch.manual_seed(training)
        out = of_width.train(training)(ids, mask, 3)
        return out if training else (out.state.h.detach(), out.logits.detach())

    before = read(False)
    for _ in range(3):
        out = read(True)
        loss = F.cross_entropy(out.logits.flatten(0, 1), ids.flatten().roll(1))
        optimizer.zero_grad()
        (loss if out.auxiliary_loss is None else loss + out.auxiliary_loss).backward()
        optimizer.step()
    return [float((b - a).square().mean().sqrt()) for a, b in zip(before, read(False), strict=True)]


@pytest.mark.parametrize("core", cores(), ids=range(len(cores())))
def test_at_the_base_nothing_changes_and_steps_move_a_wide_model_as_far_as_the_base(core):
    with_base, without = model(core, BASE), model(core, BASE, has_base=False)
    assert not with_base.growth.sides and with_base.readout_scale == 1
    assert all(map(torch.equal, with_base.parameters(), without.parameters()))
    torch.manual_seed(0)
    logits = with_base.eval()(tokens(), mask_of(core)).logits
    torch.manual_seed(0)
    assert torch.equal(logits, without.eval()(tokens(), mask_of(core)).logits)

    narrow, wide, plain = moved(core, BASE, True), moved(core, WIDE, True), moved(core, WIDE, False)
    followed, as_it_is = (max(b / a for a, b in zip(narrow, of_width, strict=True)) for of_width in (wide, plain))
    assert followed < 3, followed  # a state moves farther where a choice of depths flips
    assert as_it_is > max(2.5, 1.5 * followed), (followed, as_it_is)


EVERYTHING = {
    "injection": "concat",
    "depth_adapter": "loop_lora",
    "depth_signal": "learned",
    "halting": "act",
    "layer": {"feedforward": "moe", "attention": {"kind": "gqa", "num_heads": 2, "qk_bias": True}},
}
HIDDEN, READS, FREE = Sides(4, 4, 4), (1, 4), Sides()


@pytest.mark.parametrize(
    "of, rows_and_columns",
    [
        ("embedding.weight", (1, 1)),
        ("head.weight", (1, 1)),
        ("norm.weight", (1, 1)),
        ("core.depth_signal.table", (1, 1)),
        ("core.injection.adapter.weight", (4, 4)),
        ("core.halting.probability.weight", READS),
        ("core.layers.0.attention.q.weight", (4, 4)),
        ("core.layers.0.attention.q_bias", (1, 1)),
        ("core.layers.0.feedforward.gate", (4, 4)),
        ("core.layers.0.feedforward.router.weight", READS),
        ("core.depth_adapter.linears.down.0-attention-q", READS),
        ("core.depth_adapter.linears.up.0-attention-q", (4, 1)),
    ],
)
def test_what_a_parameter_is_follows_from_its_shapes(of, rows_and_columns):
    with torch.device("meta"):
        wide = mb.LoopedTransformer(VOCAB, width=128, core=EVERYTHING, mup_base={"width": 32}, tie_embeddings=False)
    assert of in wide.growth.sides, sorted(wide.growth.sides)
    sides = wide.growth.sides[of]
    assert (sides.rows, sides.columns) == rows_and_columns
    rows, columns = rows_and_columns
    assert sides.adam == 1 / columns
    assert sides.initial == {(1, 1): 1, (4, 4): 0.5, READS: 0.25, (4, 1): 1}[rows, columns]


def test_muons_step_keeps_the_norm_that_takes_a_state_to_one_of_its_size():
    assert Sides(4, 4, 4).muon == 0.5
    assert Sides(1, 4, 4).muon == 0.25
    assert Sides(4, 1, 4).muon == 1


@pytest.mark.parametrize("kind", sorted(slot_info("initialization").kinds))
def test_initial_weights_follow_from_the_base_whatever_draws_them(kind):
    def sizes(width, base):
        core = {"halting": "act"}
        built = mb.LoopedTransformer(
            512, width=width, core=core, initialization=kind, mup_base=base, tie_embeddings=False
        )
        return {name: float(p.detach().square().mean().sqrt()) for name, p in built.named_parameters() if p.dim() > 1}

    narrow, wide = sizes(64, None), sizes(256, {"width": 64})
    for name, size in narrow.items():
        wanted = 1 / 4 if "halting" in name else 1 if name in ("embedding.weight", "head.weight") else 1 / 2
        assert wide[name] == pytest.approx(wanted * size, rel=0.25 if "halting" in name else 0.05), name


def test_scores_follow_the_head_size_and_constants_of_the_width_stay():
    def built(num_heads, base):
        core = {
            "layer": {"attention": {"kind": "gqa", "num_heads": num_heads}},
            "initial_state": {"kind": "normal", "std": None},
        }
        return mb.LoopedTransformer(VOCAB, width=128, core=core, scale_embeddings=True, mup_base=base)

    wider = built(4, {"width": 32})  # heads of 32 channels, of 8 at the base
    assert wider.core.layers[0].attention.score_scale == pytest.approx(8**0.5 / 32)
    more = built(16, {"width": 32, "core.layer.attention.num_heads": 4})  # of 8 in both
    assert more.core.layers[0].attention.score_scale == pytest.approx(8**-0.5)
    assert wider.embedding_scale == pytest.approx(32**0.5) and wider.core.initial_state.std == pytest.approx(32**-0.5)
    assert wider.readout_scale == 1 / 4


@pytest.mark.parametrize(
    "base, said",
    [
        ({"core.state_width": 32}, "mup_base: no width"),
        ({"width": 33}, "cannot be built at its base: num_heads=4 does not divide width=33"),
        ({"width": 32, "core.layer.hidden": 8}, "'core.layer.hidden' is no field of the model"),
        ({"width": 32, "core.depth": 2}, "parameters may not"),
        ({"width": 0}, "greater than or equal to 1"),
    ],
)
def test_a_base_that_is_none_is_refused_in_a_line(base, said):
    with pytest.raises(ValueError, match=said) as refused:
        mb.LoopedTransformer(VOCAB, width=64, core={"layer": "pre_norm"}, mup_base=base)
    assert "width" not in base or base["width"] == 0 or "\n" not in str(refused.value)


def test_copies_and_saved_models_compute_what_the_model_does(tmp_path):
    wide = mb.LoopedTransformer(VOCAB, width=64, mup_base={"width": 32}).eval()
    save(wide, tmp_path / "model.safetensors")
    logits = wide(tokens()).logits
    for other in (copy.deepcopy(wide), load_model(tmp_path / "model.safetensors")):
        assert torch.equal(other.eval()(tokens()).logits, logits)
