"""Models, components and declarations in other hands: pickled, copied, sent to other processes, cast and shared."""

import copy
import io
import pickle
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.declaring.registry import lookup
from tests.blocks.parts import NEEDED, kinds, make, model, randomise, tokens
from tests.blocks.test_contracts import BLOCKS, TOKENS, learns, mask_of, model_with
from tests.blocks.test_round_trip import EVERY

MODELS = [one for one in BLOCKS if learns(*one) or one[0] == "exit"]


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = {"pickle": pickled, "copy": copy.deepcopy}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("slot, kind", EVERY)
def test_a_declaration_comes_back_equal(slot, kind, way):
    spec = lookup(slot, kind).Spec(**NEEDED.get((slot, kind), {}))

    again = WAYS[way](spec)

    assert again == spec and type(again) is type(spec) and again.model_dump_json() == spec.model_dump_json()
    assert pickled(type(spec)) is type(spec)


def test_a_declaration_with_declarations_in_it_comes_back():
    spec = model(layer={"kind": "sandwich", "feedforward": {"kind": "moe", "num_experts": 3}}).spec

    assert pickled(spec) == spec
    assert pickled({spec: "once"})[spec] == "once", "its hash is that of its fields"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("slot, kind", EVERY)
def test_a_component_comes_back_with_its_weights(slot, kind, way):
    made = make(slot, kind)

    again = WAYS[way](made)

    assert type(again) is type(made) and again.spec == made.spec and len(again.context) == len(made.context)
    if isinstance(made, nn.Module):
        named = [*made.named_parameters(), *made.named_buffers()]
        for (name, one), (_, other) in zip(named, [*again.named_parameters(), *again.named_buffers()], strict=True):
            assert torch.equal(one, other) and one.data_ptr() != other.data_ptr(), name


@pytest.mark.parametrize("way", [saved, copy.deepcopy])
@pytest.mark.parametrize("slot, kind", MODELS)
def test_a_model_comes_back_to_the_same_logits_and_draws(slot, kind, way):
    made, mask = model_with(slot, kind).eval(), mask_of(slot, kind)
    randomise(made)
    made(TOKENS, mask)  # what is computed when first needed is there
    made.core.loops.sample(torch.Generator())

    again = way(made)

    with torch.no_grad():
        assert torch.equal(again(TOKENS, mask).logits, made(TOKENS, mask).logits)
    assert again.head.weight is again.embedding.weight
    one, other = (m.core.loops.draw(torch.Generator().manual_seed(3), 5) for m in (again, made))
    assert torch.equal(one, other)


@torch.no_grad()
def test_a_copy_has_adapters_of_its_own():
    made = model(depth_adapter="loop_lora").eval()
    randomise(made)
    before = made(tokens()).logits

    randomise(copy.deepcopy(made), seed=1)

    assert torch.equal(made(tokens()).logits, before)


def test_a_compiled_layer_is_left_plain_in_a_copy():
    made = model()
    made.compile_layers(backend="eager")

    assert torch.equal(pickled(made)(tokens()).logits, made(tokens()).logits)


@torch.no_grad()
def test_what_a_pass_returns_comes_back():
    made = model(halting="act", injection="lti").eval()
    decoder = mb.Decoder(made, batch=2)
    decoder.prefill(tokens())
    out = made(tokens(), record=True)

    again = pickled(out)
    assert (
        torch.equal(again.logits, out.logits)
        and again.num_loops == out.num_loops
        and again.tape.keys() == out.tape.keys()
    )
    assert torch.equal(pickled(decoder).step(tokens()[:, 0]), decoder.step(tokens()[:, 0]))


@torch.no_grad()
def test_a_cache_comes_back_in_the_middle_of_a_call():
    made, cache = model().eval(), mb.Cache(2)
    mask, positions = cache.begin(8)
    made(tokens(), mask, positions=positions, past=cache)

    for again in (pickled(cache), copy.deepcopy(cache)):
        again.commit(8)
        mask, positions = again.begin(1)
        after = made(tokens()[:, :1], mask, positions=positions, past=again).logits
        whole = made(torch.cat((tokens(), tokens()[:, :1]), dim=1)).logits[:, -1:]
        torch.testing.assert_close(after, whole)


def test_a_refusal_comes_back_with_its_declaration():
    with pytest.raises(mb.BuildError) as caught:
        mb.LoopedTransformer(9, width=30)

    again = pickled(caught.value)

    assert str(again) == str(caught.value) and again.spec == caught.value.spec


def fresh(script, *arguments):
    """The output of a script in an interpreter of its own."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_hooks_that_are_added_after_loading_do_not_take_the_place_of_ours(tmp_path):
    made = model(depth_adapter="loop_lora").eval()
    randomise(made)
    torch.save(made, tmp_path / "model.pt")
    with torch.no_grad():
        torch.save(made(tokens()).logits, tmp_path / "logits.pt")
    script = """
        import sys, torch
        model, logits, tokens = (torch.load(path, weights_only=False) for path in sys.argv[1:])
        for module in model.modules():
            module.register_forward_hook(lambda module, args, out: None)
            module.register_load_state_dict_post_hook(lambda module, keys: None)
        with torch.device("meta"):
            empty = model.spec.build(*model.context).eval()
        with torch.no_grad():
            print(torch.equal(model(tokens).logits, logits))
    """
    torch.save(tokens(), tmp_path / "tokens.pt")

    assert fresh(script, *(tmp_path / f"{name}.pt" for name in ("model", "logits", "tokens"))) == "True"


def test_the_components_of_others_come_back_where_only_their_module_can_be_imported(tmp_path):
    (tmp_path / "thirds.py").write_text(
        textwrap.dedent(
            '''
            import mythos_blocks as mb
            from mythos_blocks.declaring import Positive

            @mb.component("update", "thirds")
            class Thirds(mb.Update):
                """A third of the core's output."""

                def __init__(self, width: int, *, share: Positive = 0.3) -> None:
                    super().__init__()
                    self.share = share

                def forward(self, h, u, carry, t):
                    return self.share * u + (1 - self.share) * h, None
            '''
        )
    )
    make_them = """
        import pickle, sys
        sys.path.insert(0, sys.argv[1])
        import thirds, mythos_blocks as mb
        model = mb.LoopedTransformer(9, width=16, core={"update": {"kind": "thirds", "share": 0.5}})
        pickle.dump(model.core.update.spec, open(sys.argv[2], "wb"))
        pickle.dump(model, open(sys.argv[3], "wb"))
    """
    read_them = """
        import pickle, sys
        sys.path.insert(0, sys.argv[1])
        for path in sys.argv[2:]:
            made = pickle.load(open(path, "rb"))
            print(made.share if made.kind == "thirds" else made.core.update.share)
    """
    paths = tmp_path, tmp_path / "spec", tmp_path / "model"
    fresh(make_them, *paths)

    assert fresh(read_them, *paths).split() == ["0.5", "0.5"]
    assert fresh(read_them, paths[0], paths[2]) == "0.5"


@pytest.mark.parametrize("slot, kind", MODELS)
def test_state_dicts_load_strictly(slot, kind, tmp_path):
    made, other = model_with(slot, kind), model_with(slot, kind)
    randomise(made)
    torch.save(made.state_dict(), tmp_path / "weights.pt")

    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True), strict=True)

    for (name, one), (_, its) in zip(made.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(one, its), name


@pytest.mark.parametrize("slot, kind", kinds("attention", "feedforward", "norm", "depth_signal", "injection", "update"))
def test_shared_memory_and_casts_leave_a_model_whole(slot, kind):
    made, mask = model_with(slot, kind).eval(), mask_of(slot, kind)
    randomise(made, std=0.05)
    with torch.no_grad():
        logits = made(TOKENS, mask).logits

        assert all(parameter.is_shared() for parameter in made.share_memory().parameters())
        assert torch.equal(made(TOKENS, mask).logits, logits)
        assert made.half()(TOKENS, mask).logits.isfinite().all()
        assert torch.equal(copy.deepcopy(made)(TOKENS, mask).logits, made(TOKENS, mask).logits)
        torch.testing.assert_close(made.float()(TOKENS, mask).logits, logits, rtol=0.1, atol=0.1)
    assert made.head.weight is made.embedding.weight


def test_an_averaged_model_is_one():
    made = model(depth_adapter="loop_lora", halting="act")
    averaged = torch.optim.swa_utils.AveragedModel(made)
    randomise(made)
    averaged.update_parameters(made)

    torch.testing.assert_close(averaged(tokens()).logits, made(tokens()).logits)


def test_weights_are_put_in_by_a_functional_call():
    made, other = model(injection="lti"), model(injection="lti")
    randomise(made)

    out = torch.func.functional_call(other, dict(made.named_parameters()), (tokens(),))

    assert torch.equal(out.logits, made(tokens()).logits)
