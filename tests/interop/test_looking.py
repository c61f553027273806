"""Tools that look into a model: nnsight, captum, torchinfo."""

import pytest
import torch

from tests.interop.conftest import LOOPS, VOCAB, WIDTH


def test_nnsight_reads_and_changes_what_passes(model, tokens):
    from nnsight import NNsight

    seen = NNsight(model.eval())
    with seen.trace(tokens):
        embedded = seen.embedding.output.save()
    torch.testing.assert_close(embedded, model.embedding(tokens))
    with seen.trace(tokens):
        seen.embedding.output[:] = 0
        changed = seen.output.logits.save()
    assert not torch.allclose(changed, model(tokens).logits)


def test_captum_attributes_to_the_embedding_and_its_sums_are_what_they_explain(model, tokens):
    from captum.attr import LayerIntegratedGradients

    model.eval()
    score = lambda ids: model(ids).logits[:, -1, 7]  # noqa: E731
    base = torch.zeros_like(tokens)
    given, error = LayerIntegratedGradients(score, model.embedding).attribute(
        tokens, base, n_steps=64, return_convergence_delta=True
    )
    explained = (score(tokens) - score(base)).detach()
    assert given.shape == (2, 12, WIDTH) and (error.abs() < 0.1 * explained.abs() + 0.02).all()


@pytest.mark.xfail(
    strict=True,
    reason="torchinfo reads tensors, sequences and mappings alone, and a halting rule is given what it keeps",
)
def test_torchinfo_counts_each_iteration(model, tokens):
    from torchinfo import summary

    said = summary(model, input_data=tokens, verbose=0)
    assert said.total_params == sum(p.numel() for p in model.parameters())
    attention = [layer for layer in said.summary_list if layer.class_name == "GroupedQueryAttention"]
    assert len(attention) >= LOOPS and said.total_mult_adds > 0


def test_torchinfo_lists_layers_and_parameters(model):
    from torchinfo import summary

    said, tied = summary(model, verbose=0), model.head.weight.numel()
    assert said.total_params == sum(p.numel() for p in model.parameters()) + tied, "which torchinfo counts twice"
    assert "GroupedQueryAttention" in {layer.class_name for layer in said.summary_list}


class Logits(torch.nn.Module):
    """What ONNX is to have of a pass: tensors, and not the record of it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens):
        return self.model(tokens).logits


def test_onnx_runtime_gives_the_same_with_a_batch_of_any_size(alone, model, tokens):
    import onnxruntime

    path = alone / "model.onnx"
    shapes = {"tokens": {0: torch.export.Dim("batch", min=1, max=64)}}
    torch.onnx.export(Logits(model.eval()), (tokens,), path, dynamic_shapes=shapes, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    more = torch.randint(0, VOCAB, (5, 12))
    given, *_ = session.run(None, {session.get_inputs()[0].name: more.numpy()})
    torch.testing.assert_close(torch.from_numpy(given), model(more).logits.detach(), rtol=1e-3, atol=1e-4)
