"""Training follows the declaration."""

import copy

import pytest
import torch

from mythos_blocks.feedforward import RoutedExperts
from mythos_blocks.hugging_face import MythosConfig, MythosForCausalLM
from mythos_blocks.layer import Layer
from tests.blocks.hugging_face.declarations import DECLARATIONS, WIDTH, made
from tests.blocks.parts import VOCAB, tokens

IDS = tokens(batch=4, positions=9)


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def step(model, num_parts, **given):
    """Loss and gradients of a step that is accumulated over so many parts, as transformers' Trainer does it."""
    torch.manual_seed(0)
    model.zero_grad()
    labels = IDS.clone()
    labels[0, 2:] = -100  # so that the parts have different numbers of labels
    num_items = (labels[:, 1:] != -100).sum()
    total = 0.0
    for part, targets in zip(IDS.chunk(num_parts), labels.chunk(num_parts), strict=True):
        loss = model(part, labels=targets, num_items_in_batch=num_items, **given).loss
        loss.backward()
        total += loss.item()
    return total, gradients(model)


@pytest.mark.parametrize("name", [n for n in DECLARATIONS if n not in ("huginn", "parcae")])  # which begin with noise
def test_accumulating_a_step_changes_neither_loss_nor_gradient(name):
    model = made(name).train()
    wanted, whole = step(model, 1)

    for num_parts in (2, 4):
        loss, accumulated = step(model, num_parts)
        assert loss == pytest.approx(wanted, rel=1e-4)
        # The balance and the ponder loss of a part are weighed by its labels, and are not of all tokens.
        for key, gradient in whole.items():
            torch.testing.assert_close(accumulated[key], gradient, rtol=2e-2, atol=2e-3)


def test_parts_of_a_step_run_the_loop_counts_of_the_whole():
    model = made("parcae").train()
    torch.manual_seed(0)
    whole = model(IDS, num_items_in_batch=32).loops_run
    model.zero_grad()
    torch.manual_seed(0)
    parts = []
    for part in IDS.chunk(2):
        out = model(part, labels=part, num_items_in_batch=32)
        out.loss.backward()
        parts.append(out.loops_run)

    assert torch.equal(torch.cat(parts), whole) and len(whole.unique()) > 1


@pytest.mark.parametrize("name", [n for n in DECLARATIONS if n != "universal_transformer"])
def test_loop_counts_are_drawn_anew_and_repeat_with_the_seed(name):
    model = made(name).train()
    torch.manual_seed(0)
    drawn = [model(IDS).loops_run for _ in range(12)]
    torch.manual_seed(0)

    assert len({int(x.max()) for x in drawn}) > 1 and torch.equal(model(IDS).loops_run, drawn[0])
    assert all(int(model(IDS, num_loops=2).loops_run.max()) <= 2 for _ in range(3))
    model.eval()
    assert len({int(model(IDS).loops_run.max()) for _ in range(3)}) == 1


def test_counts_of_a_step_are_drawn_anew_after_it():
    model = made("gated_loop").train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    torch.manual_seed(0)
    counts = []
    for _ in range(10):
        both = []
        for _ in range(2):
            out = model(IDS, labels=IDS, num_items_in_batch=64)
            out.loss.backward()
            both.append(int(out.loops_run.max()))
        optimizer.step()  # and zeroes nothing
        assert both[0] == both[1]
        counts.append(both[0])

    assert len(set(counts)) > 1


def test_the_selection_bias_moves_after_each_step_of_an_optimizer():
    model = made("openmythos").train()
    other = copy.deepcopy(model)
    (experts,) = (module for module in model.modules() if isinstance(module, RoutedExperts))
    optimizer = torch.optim.AdamW(model.parameters())
    before = experts.bias.clone()

    for _ in range(2):
        model(IDS, labels=IDS).loss.backward()
    assert torch.equal(experts.bias, before) and experts.load.any()
    optimizer.step()

    assert not torch.equal(experts.bias, before) and not experts.load.any()
    other(IDS, labels=IDS).loss.backward()
    (its,) = (module for module in other.modules() if isinstance(module, RoutedExperts))
    load = its.load.clone()
    optimizer.step()
    assert torch.equal(its.load, load), "the step was another model's"


@pytest.mark.parametrize("name", ["openmythos", "universal_transformer"])
def test_what_components_add_is_in_the_loss_of_training(name):
    model = made(name).train()
    torch.manual_seed(0)
    out = model(IDS, labels=IDS, num_loops=3)
    plain = model.loss_function(out.logits, IDS, VOCAB)

    assert out.aux_loss > 0 and torch.allclose(out.loss, plain + out.aux_loss)
    model.eval()
    out = model(IDS, labels=IDS, num_loops=3)
    assert torch.allclose(out.loss, model.loss_function(out.logits, IDS, VOCAB))


@pytest.mark.parametrize("name", DECLARATIONS)
@pytest.mark.parametrize("options", [{}, {"every_n_layers": 2}])
def test_gradient_checkpointing_gives_equal_gradients(name, options):
    model = made(name).train()
    torch.manual_seed(0)
    model(IDS, labels=IDS).loss.backward()
    wanted = gradients(model)
    model.zero_grad()
    runs, layers = [], [module for module in model.modules() if isinstance(module, Layer)]
    for layer in layers:
        layer.attention.register_forward_hook(
            lambda *_, layer=layer: runs.append(layer) if torch.is_grad_enabled() else None
        )

    model.activation_checkpointing_enable(**options)
    assert model.is_activation_checkpointing
    torch.manual_seed(0)
    loss = model(IDS, labels=IDS).loss
    runs_of_each = {layer: runs.count(layer) for layer in layers}
    loss.backward()

    assert gradients(model).keys() == wanted.keys()
    for key, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, wanted[key])
    again = [layer for layer in layers if runs.count(layer) > runs_of_each[layer]]
    assert again == layers[:: options.get("every_n_layers", 1)], "these were computed again in the backward pass"


def test_loop_counts_that_follow_the_progress_of_training_need_to_be_told():
    declaration = {"width": WIDTH, "core": {"loops": {"kind": "curriculum", "base": {"kind": "fixed", "num_loops": 6}}}}
    model = MythosForCausalLM(MythosConfig(declaration=declaration, vocab_size=VOCAB)).train()

    with pytest.raises(ValueError, match=r"set model\.progress = step / max_steps"):
        model(IDS)
    assert int(model(IDS, num_loops=2).loops_run.max()) == 2
    model.progress = 0.0
    assert int(model(IDS).loops_run.max()) == 1
    model.progress = 1.0
    assert int(model(IDS).loops_run.max()) == 6


def test_an_exit_in_training_is_refused():
    with pytest.raises(ValueError, match="exit stops positions outside training"):
        made("gated_loop").train()(IDS, exit="entropy")


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_trainer_that_calls_the_backbone_gets_the_same(name):
    model = made(name).train()
    torch.manual_seed(0)
    wanted = model(IDS).logits
    torch.manual_seed(0)

    out = getattr(model, model.base_model_prefix)(input_ids=IDS)

    assert torch.equal(model.lm_head(out.last_hidden_state), wanted) and model.base_model is model.model
