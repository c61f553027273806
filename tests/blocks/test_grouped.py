"""The product of rows with one of several matrices each, against a product for each matrix."""

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mythos_blocks.feedforward.grouped import grouped_linear, grouped_linear_plainly, have_flops_counted
from tests.blocks.parts import model, tokens

# Rows of each group, and sizes whose rows are whole 16 bytes in bfloat16, in float32 alone, or in neither.
GROUPS = [[3, 0, 4, 2], [0, 0, 0, 5], [7, 0, 0, 0], [0, 0, 0, 0]]
SIZES = [(16, 24), (12, 20), (5, 8), (8, 5), (3, 7)]
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
# Half of the distance between neighbouring numbers of the dtype, and of float32's sums.
EPSILON = {torch.bfloat16: 2**-8, torch.float16: 2**-10, torch.float32: 1e-5, torch.float64: 1e-12}


def operands(groups, sizes, dtype):
    generator = torch.Generator().manual_seed(0)
    inner, outer = sizes
    x = torch.randn(sum(groups), inner, generator=generator).to(dtype)
    weight = torch.randn(len(groups), outer, inner, generator=generator).to(dtype)
    gradient = torch.randn(sum(groups), outer, generator=generator).to(dtype)
    return x.requires_grad_(), weight.requires_grad_(), gradient, torch.tensor(groups).cumsum(0, dtype=torch.int32)


def one_by_one(x, weight, gradient, groups):
    """The product and its gradients in float64."""
    parts = list(
        zip(x.detach().double().split(groups), gradient.double().split(groups), weight.detach().double(), strict=True)
    )
    product = torch.cat([rows @ w.T for rows, _, w in parts])
    return product, torch.cat([g @ w for _, g, w in parts]), torch.stack([g.T @ rows for rows, g, _ in parts])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_it_is_a_product_for_each_group(groups, sizes, dtype):
    x, weight, gradient, ends = operands(groups, sizes, dtype)
    out = grouped_linear(x, weight, ends)
    out.backward(gradient)
    for found, wanted in zip((out, x.grad, weight.grad), one_by_one(x, weight, gradient, groups), strict=True):
        assert found.dtype is dtype and found.shape == wanted.shape
        scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
        torch.testing.assert_close(found.double(), wanted, atol=EPSILON[dtype] * scale, rtol=EPSILON[dtype])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_autocast_multiplies_in_its_dtype_and_gives_float32_gradients(groups, sizes, dtype):
    x, weight, gradient, ends = operands(groups, sizes, torch.float32)
    with torch.autocast("cpu", dtype):
        out = grouped_linear(x, weight, ends)
    assert out.dtype is dtype
    out.backward(gradient.to(dtype))
    assert (x.grad.dtype, weight.grad.dtype) == (torch.float32, torch.float32)
    for found, wanted in zip((out, x.grad, weight.grad), one_by_one(x, weight, gradient, groups), strict=True):
        scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
        torch.testing.assert_close(found.double(), wanted, atol=4 * EPSILON[dtype] * scale, rtol=EPSILON[dtype])


def test_autocast_leaves_float64_alone():
    x, weight, _, ends = operands(GROUPS[0], SIZES[0], torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        assert grouped_linear(x, weight, ends).dtype is torch.float64


def test_a_loop_keeps_one_copy_of_the_weights():
    """Iterations save their rows for the backward pass, and all of them the one parameter."""
    x, weight, _, ends = operands([4, 4], (16, 16), torch.float32)
    saved = set()

    def pack(tensor):
        saved.add((tensor.untyped_storage().data_ptr(), tensor.shape, tensor.dtype))
        return tensor

    kept = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        for _ in range(3):
            x = grouped_linear(x, weight, ends)
            kept.append(x)
    assert [s for s in saved if s[1] == weight.shape] == [(weight.data_ptr(), weight.shape, torch.float32)]


class Copies(TorchDispatchMode):
    """The operations that make another tensor of a size by copying."""

    def __init__(self, size):
        super().__init__()
        self.size, self.names = size, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.clone.default, torch.ops.aten._to_copy.default) and out.numel() == self.size:
            self.names.append(str(func))
        return out


def test_the_backward_pass_copies_no_weights():
    x, weight, gradient, ends = operands(GROUPS[0], SIZES[0], torch.float32)
    out = grouped_linear(x, weight, ends)
    with Copies(weight.numel()) as copies:
        torch.autograd.grad(out, [x, weight], gradient)
    assert not copies.names


def test_the_operator_keeps_torchs_contract():
    x, weight, _, ends = operands(GROUPS[0], SIZES[0], torch.float32)
    torch.library.opcheck(torch.ops.mythos_blocks.grouped_linear.default, (x, weight, ends))
    torch.library.opcheck(
        torch.ops.mythos_blocks.grouped_linear.default, (x, weight.mT.contiguous().detach(), ends, True)
    )
    torch.library.opcheck(
        torch.ops.mythos_blocks.grouped_linear.default, (x.detach().bfloat16().requires_grad_(), weight, ends)
    )


def test_a_compiled_product_casts_as_an_eager_one():
    x, weight, _, ends = operands(GROUPS[0], SIZES[0], torch.float32)
    compiled = torch.compile(grouped_linear, backend="aot_eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        wanted, found = grouped_linear(x, weight, ends), compiled(x, weight, ends)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("groups", GROUPS[:3], ids=str)
def test_gradients_have_gradients(groups):
    x, weight, _, ends = operands(groups, SIZES[2], torch.float64)
    assert torch.autograd.gradgradcheck(lambda x, weight: grouped_linear(x, weight, ends), (x, weight))


@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_the_plain_form_is_the_same_product(groups):
    x, weight, _, ends = operands(groups, SIZES[0], torch.float64)
    torch.testing.assert_close(grouped_linear_plainly(x, weight, ends), grouped_linear(x, weight, ends))


def test_torchs_counter_knows_it():
    """Forward one product a row, backward two."""
    x, weight, gradient, ends = operands([3, 0, 4, 2], (16, 24), torch.float32)
    have_flops_counted()  # as whoever has experts does
    with FlopCounterMode(display=False) as counter:
        grouped_linear(x, weight, ends).backward(gradient)
    assert counter.get_total_flops() == 3 * 2 * 9 * 16 * 24


@pytest.mark.parametrize("kind", ["moe", "expert_attention"])
def test_gradients_of_each_sample_are_those_of_the_batch(kind):
    made = model(layer={"feedforward": kind}, num_loops=2).eval()
    parameters = {name: parameter.detach() for name, parameter in made.named_parameters()}

    def loss(parameters, ids):
        return functional_call(made, parameters, (ids[None],)).logits.square().mean()

    each = vmap(grad(loss), in_dims=(None, 0))(parameters, tokens(3))
    made(tokens(3)).logits.square().mean().backward()
    for name, parameter in made.named_parameters():
        torch.testing.assert_close(each[name].mean(0), parameter.grad, msg=lambda m, name=name: f"{name}: {m}")
    made.train()
    with pytest.raises(ValueError, match=rf"feedforward '{kind}' counts its experts' load .* call eval\(\)"):
        vmap(grad(loss), in_dims=(None, 0))(parameters, tokens(3))
