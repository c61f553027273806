"""Named places of a model: what is read there is what the model computes, what is put there is what it goes on with."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import EVERYTHING, LOOPS, WIDTH, kinds, model, randomise, tokens

LAYERS = [kind for _, kind in kinds("layer")]


def built(**core):
    made = model(**core).eval()
    randomise(made)
    return made


def with_stacks():
    stack = {"depth": 1}
    made = mb.LoopedTransformer(
        29, width=WIDTH, prelude=stack, coda=stack, core={"depth": 2, "injection": "add"}
    ).eval()
    randomise(made)
    return made


@torch.no_grad()
@pytest.mark.parametrize("make", [with_stacks, lambda: built(**EVERYTHING), lambda: built(kind="hierarchical")])
def test_what_is_read_is_what_the_tape_has(make):
    made, seen = make(), {}
    tape = made(tokens(), record=True, iterations=3).tape
    for t in range(3):
        with mb.at_site(made, "core.state", t) as state:
            made(tokens(), iterations=3)
        seen["core", t] = state.value
        assert state.iterations == [t]
        assert torch.equal(state.value, tape["core", t])
    for place in ("prelude", "coda"):
        for i in range(len(getattr(made, place).layers)):
            with mb.at_site(made, f"{place}.{i}.residual") as layer:
                made(tokens(), iterations=3)
            assert torch.equal(layer.value, tape[place, i])


@torch.no_grad()
@pytest.mark.parametrize("kind", LAYERS)
def test_every_site_reads_and_what_is_put_there_acts(kind):
    made = built(layer=kind, injection="add")
    plain = made(tokens()).logits
    assert {"core.0.attention", "core.0.residual", "core.state"} <= set(mb.sites(made))
    for site in mb.sites(made):
        for t in range(LOOPS):
            with mb.at_site(made, site, t, change=lambda x: x) as seen:
                assert torch.allclose(made(tokens()).logits, plain, atol=1e-5), site
            assert seen.iterations == [t] and seen.value.shape[:2] == (2, 8)
            with mb.at_site(made, site, t, change=lambda x: x + torch.randn_like(x)):
                assert not torch.allclose(made(tokens()).logits, plain, atol=1e-3), (site, t)
    assert torch.equal(made(tokens()).logits, plain), "nothing is left behind"


@torch.no_grad()
def test_a_state_that_is_put_back_is_what_the_rest_of_the_loop_makes_of_it():
    made = built(injection="lti", depth_signal="learned")
    with mb.at_site(made, "core.state", 1) as state:
        made(tokens())
    other = tokens(seed=1)
    with mb.at_site(made, "core.state", 1, change=lambda h: state.value):
        moved = made(other).state.h
    e = made.encode(other)
    driven = made.core.start(e, mb.Frame(tokens=other))
    driven = made.core.step(made.core.step(driven, 0), 1)
    driven.h, driven.x = state.value, None
    driven = made.core.step(made.core.step(driven, 2), 3)
    assert torch.allclose(moved, driven.h, atol=1e-5)


@torch.no_grad()
def test_positions_that_have_stopped_are_where_they_are_in_the_batch():
    counts = torch.tensor([[3, 1, 2, 3, 3, 1, 1, 2]])
    made = built(layer={"attention": "mha"})
    for site in ("core.0.residual", "core.0.attention", "core.state"):
        found = {}
        for compact in (True, False):
            with mb.at_site(made, site, 2, change=lambda x: 2 * x) as seen:
                out = made(tokens(1), iterations=counts, compact=compact)
            found[compact] = seen.value[counts == 3], out.logits
        for compacted, plain in zip(*found.values(), strict=True):
            assert torch.allclose(compacted, plain, atol=1e-5), site


@pytest.mark.parametrize(
    "site, iteration, said",
    [
        ("core.0.atention", 0, r"unknown site 'core.0.atention'; did you mean 'core.0.attention'\?"),
        ("core.7.residual", 0, "unknown site 'core.7.residual'; did you mean 'core.0.residual'"),
        ("prelude.0.residual", 1, "is in no loop"),
        ("core.state", -1, "iteration=-1 does not exist"),
        ("core.state", 9, "iteration=9 does not exist; expected an index from 0 to 3"),
    ],
)
def test_a_site_that_is_not_there_is_refused_in_one_line(site, iteration, said):
    made = mb.LoopedTransformer(
        29, width=WIDTH, prelude={"depth": 1},
        core={"depth_signal": {"kind": "learned", "beyond": "error"}, "loops": {"kind": "fixed", "num_loops": LOOPS}},
    )  # fmt: skip
    with pytest.raises(ValueError, match=said) as error, mb.at_site(made, site, iteration):
        pass
    assert "\n" not in str(error.value)


def test_an_iteration_that_no_pass_ran_is_told():
    made = built()
    with pytest.raises(ValueError, match="no pass ran iteration 7; those that ran are 0, 1, 2, 3"):
        with mb.at_site(made, "core.state", 7, change=torch.zeros_like):
            made(tokens())
    with pytest.raises(ValueError, match=r"change gave \(1,\), and \(2, 8, 32\) stands there"):
        with mb.at_site(made, "core.state", change=lambda h: h[0, 0, :1]):
            made(tokens())


def test_gradients_flow_through_what_is_put_there():
    made, put = built(), torch.zeros(2, 8, WIDTH, requires_grad=True)
    with mb.at_site(made, "core.state", 0, change=lambda h: put):
        made(tokens()).logits.sum().backward()
    assert put.grad is not None and put.grad.abs().sum() > 0


@torch.no_grad()
def test_an_exported_model_has_the_same_sites():
    pytest.importorskip("transformers")
    from mythos_blocks.hugging_face import MythosConfig, MythosForCausalLM

    declaration = built(injection="add").spec.model_dump(mode="json")
    exported = MythosForCausalLM(MythosConfig(declaration=declaration, vocab_size=29)).eval()
    plain = exported(tokens()).logits
    assert mb.sites(exported) == mb.sites(built(injection="add"))
    with mb.at_site(exported, "core.state", 2, change=torch.zeros_like) as seen:
        assert not torch.allclose(exported(tokens()).logits, plain)
    assert seen.iterations == [2]
