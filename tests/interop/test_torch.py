"""torch's own tooling."""

import copy
import io

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.optim.swa_utils import AveragedModel
from torch.utils.flop_counter import FlopCounterMode

from tests.interop.conftest import VOCAB, make


def loss_of(model, tokens):
    return torch.nn.functional.cross_entropy(model(tokens).logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def test_copies_pickles_and_state_dicts(model, tokens):
    expected = model(tokens).logits
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    fresh = make()
    fresh.load_state_dict(copy.deepcopy(model.state_dict()))
    for other in (copy.deepcopy(model), torch.load(buffer, weights_only=False), fresh):
        torch.testing.assert_close(other(tokens).logits, expected, rtol=0, atol=0)


def test_distributed_checkpoints(alone, model, tokens):
    dcp.save({"model": model.state_dict()}, checkpoint_id=alone / "checkpoint")
    fresh = make()
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    state = {"model": fresh.state_dict()}
    dcp.load(state, checkpoint_id=alone / "checkpoint")
    fresh.load_state_dict(state["model"])
    torch.testing.assert_close(fresh(tokens).logits, model(tokens).logits, rtol=0, atol=0)


def test_optimisers_averages_and_schedules(model, tokens):
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embedding" not in name]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    optimizers = [torch.optim.Muon(matrices, lr=1e-3), torch.optim.AdamW(others, lr=3e-3, fused=True)]
    average = AveragedModel(model)
    first = loss_of(model, tokens).item()
    for _ in range(10):
        loss_of(model, tokens).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        average.update_parameters(model)
    assert loss_of(model, tokens) < first and average(tokens).logits.shape == (2, 12, VOCAB)


def test_functional_calls(model, tokens):
    values = {name: value.detach() for name, value in model.named_parameters()}
    torch.testing.assert_close(torch.func.functional_call(model, values, (tokens,)).logits, model(tokens).logits)
    gradient = torch.func.grad(lambda v: torch.func.functional_call(model, v, (tokens,)).logits.square().mean())(values)
    model(tokens).logits.square().mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradient[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_parametrizations_and_pruning(model, tokens):
    torch.nn.utils.prune.l1_unstructured(model.core.layers[0].feedforward.down, "weight", 0.5)
    torch.nn.utils.parametrizations.spectral_norm(model.core.layers[0].attention.out)
    assert torch.isfinite(model(tokens).logits).all()


def test_dynamic_quantisation(model, tokens):
    quantised = torch.ao.quantization.quantize_dynamic(model.eval(), {torch.nn.Linear}, dtype=torch.qint8)
    with torch.no_grad():
        expected = model(tokens).logits
        assert (quantised(tokens).logits - expected).abs().mean() < 0.1 * expected.abs().mean()


def test_flops_are_counted_of_each_iteration(model, tokens):
    counted = []
    for iterations in (1, 2, 3):
        with FlopCounterMode(display=False) as counter:
            model(tokens, iterations=iterations)
        counted.append(counter.get_total_flops())
    assert counted[2] - counted[1] == counted[1] - counted[0] > 0


def test_export_with_a_batch_of_any_size(model, tokens):
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model.eval(), (tokens,), dynamic_shapes={"tokens": {0: batch}})
    more = torch.randint(0, VOCAB, (5, 12))
    torch.testing.assert_close(program.module()(more).logits, model(more).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fullgraph", [False, True])
def test_compile(model, tokens, fullgraph):
    compiled = torch.compile(model.eval(), backend="aot_eager", fullgraph=fullgraph)
    torch.testing.assert_close(compiled(tokens).logits, model(tokens).logits, rtol=1e-4, atol=1e-5)
