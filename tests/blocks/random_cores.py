"""Random declarations of cores over all registered kinds, and what must hold of each.

``python -m tests.blocks.random_cores 0 1000`` tries these seeds and prints what fails.
"""

from __future__ import annotations

import random
import sys
import traceback
from typing import Any

import torch
from torch import Tensor

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from tests.blocks.parts import NEEDED, randomise

VOCAB, WIDTH, ROWS, POSITIONS, LOOPS = 23, 16, 3, 6, 4

# They draw from the batch's own generator: rows alone draw other numbers.
RANDOM_STATES = {"normal", "truncated_normal", "unit"}
IN_CORE = ("injection", "update", "depth_signal", "depth_adapter", "initial_state", "halting", "kv_policy", "gradient")
FIELDS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("halting", "act"): [
        {"granularity": granularity, "halted_state": state, "mix": mix, "reads": reads, "initial_bias": bias}
        for granularity in ("position", "sequence")
        for state in ("frozen", "updating")
        for mix in ("accumulate", "interpolate")
        for reads in ("before", "after")
        for bias in (-1.0, 0.5)
    ],
    ("halting", "q_head"): [{"read": read, "head": head} for read in ("first", "position") for head in ("halt",)],
    ("kv_policy", "anchor"): [{"num_exact": 1, "period": 2}],
    ("kv_policy", "blocks"): [{"length": 2}],
    ("kv_policy", "modulo"): [{"period": 2}],
    ("gradient", "implicit"): [{"num_iterations": 3}],
    ("gradient", "segments"): [{"length": 1}, {"length": 2}],
    ("gradient", "last"): [{"num_loops": 2}],
    ("feedforward", "moe"): [
        {"balance_weight": 0.1, "z_weight": 0.1, "depth_conditioned": conditioned} for conditioned in (False, True)
    ],
    ("attention", "mla"): [{"kv_rank": 8, "q_rank": 8, "nope_dim": 4, "rope_dim": 4, "value_dim": 4}],
    ("depth_attention", "own_token"): [{}, {"window": 2}],
    ("depth_attention", "all_tokens"): [{}, {"window": 2}],
    ("depth_adapter", "loop_lora"): [{"on": ["*"]}],
}


def declare(seed: int) -> dict[str, Any]:
    """The core with this number; half of the slots hold their first choice, so that pairs stand out."""
    draw = random.Random(seed)

    def kind(slot: str, *without: str) -> Any:
        chosen = draw.choice([k for k in sorted(slot_info(slot).kinds) if k not in without])
        fields = draw.choice(FIELDS.get((slot, chosen), [{}]))
        return {"kind": chosen, **NEEDED.get((slot, chosen), {}), **fields}

    mixed = draw.random() < 0.3
    layer = {
        "kind": "mixture" if mixed else draw.choice(["pre_norm", "post_norm", "sandwich", "stream_norm"]),
        "attention": kind("attention", "mixer"),
        "feedforward": kind("feedforward"),
        "norm": kind("norm"),
    }
    if mixed:
        layer["depth_attention"] = kind("depth_attention")
    core: dict[str, Any] = {"layer": layer, "depth": draw.choice([1, 1, 2])}
    for slot in IN_CORE:
        if draw.random() < 0.55:
            core[slot] = kind(slot, *(RANDOM_STATES if slot == "initial_state" else ()))
    if core.get("initial_state", {"kind": "input"})["kind"] != "input" and "injection" not in core:
        core["injection"] = {"kind": "add"}  # without it the input enters nowhere, and all positions tie
    if draw.random() < 0.15:
        allowed = mb.HierarchicalLoop.Spec.model_fields
        core = {"kind": "hierarchical", **{name: value for name, value in core.items() if name in allowed}}
    elif draw.random() < 0.1:
        core["tying"] = "sequence"
    core["loops"] = {"kind": "fixed", "num_loops": LOOPS}
    if core.get("gradient", {"kind": "window"})["kind"] == "window" and draw.random() < 0.6:
        core["loops"]["gradient_window"] = draw.choice([1, 2, 3])
    return core


def build(seed: int) -> mb.LoopedTransformer | None:
    """The model with this number, in float64; ``None`` where its declaration is refused, in one line."""
    core = declare(seed)
    coda = {"depth": seed % 2, "layer": core["layer"]} if seed % 3 == 0 else {"depth": 0}
    try:
        model = mb.LoopedTransformer(VOCAB, width=WIDTH, prelude={"depth": seed % 2}, core=core, coda=coda)
    except ValueError as error:
        assert "\n" not in str(error).strip() or "validation error" in str(error), str(error)
        return None
    randomise(model, seed=seed, std=0.25)
    model.double()
    for training in (True, False):
        with torch.no_grad():
            far = float(model.train(training)(tokens(seed), iterations=LOOPS).state.h.abs().max())
        if not far < 1e4:
            return None  # what has no stable scale, as without norms, leaves nothing to compare
    return model


def tokens(seed: int, positions: int = POSITIONS) -> Tensor:
    return torch.randint(VOCAB, (ROWS, positions), generator=torch.Generator().manual_seed(seed))


def counts(seed: int) -> Tensor | int:
    """Loop counts: one, one a sequence, or one a position."""
    generator = torch.Generator().manual_seed(seed)
    shape = [(), (ROWS,), (ROWS, POSITIONS)][seed % 3]
    drawn = torch.randint(1, LOOPS + 1, shape, generator=generator)
    return drawn if shape else int(drawn)


def row_of(iterations: Tensor | int, row: int) -> Tensor | int:
    if isinstance(iterations, int):
        return iterations
    if iterations.dim() == 1:
        return int(iterations[row])
    return iterations[row : row + 1]


def score(model: mb.LoopedTransformer, out: mb.ModelOutput) -> Tensor:
    """A sum over positions of all that a loss may read: logits, readout weights, states."""
    weights = torch.stack(out.halting.weights)
    times = torch.arange(1, len(weights) + 1, dtype=weights.dtype)[:, None, None]
    return out.logits.sin().sum() + (weights * times).sum() + out.state.h.cos().sum()


def gradients(model: mb.LoopedTransformer, loss: Tensor) -> dict[str, Tensor]:
    names = [name for name, _ in model.named_parameters()]
    if not loss.requires_grad:
        return {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g
        for name, g, p in zip(names, found, model.parameters(), strict=True)
    }


def refuses(model: mb.LoopedTransformer, ids: Tensor, iterations: Any, **options: Any) -> bool:
    """Whether the model refuses these loop counts; in one line."""
    try:
        model(ids, iterations=iterations, **options)
    except ValueError as error:
        assert "\n" not in str(error)
        return True
    return False


def check_rows_alone(seed: int) -> None:
    """A batch in parts is each of its rows alone in plain form: logits, counts, weights, gradients."""
    model = build(seed)
    if model is None:
        return
    ids, iterations = tokens(seed), counts(seed)
    for training in (True, False):
        model.train(training)
        if refuses(model, ids, iterations):
            continue
        for compact in (True, False):
            out = model(ids, iterations=iterations, compact=compact)
            ours = gradients(model, score(model, out))
            wanted = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
            assert len(out.halting.weights) == out.num_loops
            for row in range(ROWS):
                alone = model(ids[row : row + 1], iterations=row_of(iterations, row), compact=False)
                close(out.logits[row], alone.logits[0], f"logits of row {row}")
                if training or model.core.halting.freezes:  # else the batch goes on while others have not halted
                    close(out.executed[row], alone.executed[0], f"iterations of row {row}")
                close(out.halting.depth_read()[row], alone.halting.depth_read()[0], f"depth read of row {row}")
                for name, gradient in gradients(model, score(model, alone)).items():
                    wanted[name] = wanted[name] + gradient
            for name, gradient in ours.items():
                close(gradient, wanted[name], f"gradient of {name}, training={training}, compact={compact}")


def counted(experts: list[Any], run: Any) -> tuple[mb.ModelOutput, list[list[int]]]:
    """What a pass returns, and the load that it adds to each layer of experts."""
    before = [m.load.clone() for m in experts]
    out = run()
    return out, [(m.load - b).tolist() for m, b in zip(experts, before, strict=True)]


def check_padding(seed: int) -> None:
    """Padding on the right changes nothing that is counted."""
    model = build(seed)
    if model is None:
        return
    ids, iterations = tokens(seed), 3
    for training in (True, False):
        model.train(training)
        if refuses(model, ids, iterations):
            continue
        experts = [m for m in model.modules() if isinstance(m, mb.RoutedExperts)]
        plain, loads = counted(experts, lambda: model(ids, iterations=iterations))
        for num_pads in (1, 7):
            padded = torch.cat((ids, tokens(seed + 1, num_pads)), 1)
            real = torch.arange(padded.shape[1]).expand(ROWS, -1) < POSITIONS
            out, again = counted(experts, lambda p=padded, r=real: model(p, iterations=iterations, real=r))
            close(out.logits[:, :POSITIONS], plain.logits, f"logits with {num_pads} pads")
            close(out.executed[:, :POSITIONS], plain.executed, f"iterations with {num_pads} pads")
            assert set(out.losses) == set(plain.losses)
            for name, loss in plain.losses.items():
                close(out.losses[name], loss, f"loss {name} with {num_pads} pads, training={training}")
            assert again == loads, f"loads {again} for {loads}"


def check_decoding(seed: int) -> None:
    """Decoding with a cache is the full pass, where it says so; with padding on the left too."""
    model = build(seed)
    if model is None:
        return
    model.eval()
    iterations, ids = counts(seed - seed % 3 + seed % 2), tokens(seed)
    if refuses(model, ids, iterations):
        return
    decoder = mb.Decoder(model, ROWS, iterations=iterations)
    with torch.no_grad():
        whole = model(ids, iterations=iterations).logits
        if not decoder.exact:
            return
        parts = [decoder.advance(part).logits for part in ids.split([3, 1, 1, 1], 1)]
        close(torch.cat(parts, 1), whole, "decoded logits")
        padding = [0, 2, 3]
        padded = torch.cat((tokens(seed + 1, 3), ids), 1)
        rows = [torch.cat((padded[row, :pad], ids[row, : POSITIONS - pad])) for row, pad in enumerate(padding)]
        decoder = mb.Decoder(model, ROWS, iterations=iterations, padding=padding)
        parts = [decoder.advance(part).logits for part in torch.stack(rows).split([4, 1, 1], 1)]
        for row, pad in enumerate(padding):
            close(torch.cat(parts, 1)[row, pad:], whole[row, : POSITIONS - pad], f"decoded logits behind {pad} pads")


CHECKS = (check_rows_alone, check_padding, check_decoding)


def close(ours: Tensor, wanted: Tensor, what: str) -> None:
    if ours.dtype.is_floating_point:
        scale = max(1.0, float(wanted.detach().abs().max())) if wanted.numel() else 1.0
        worst = float((ours - wanted).detach().abs().max()) / scale if wanted.numel() else 0.0
        assert worst < 1e-9, f"{what} differs by {worst:.2e} of {scale:.2g}"
    else:
        assert torch.equal(ours, wanted), f"{what} differs: {ours.tolist()} for {wanted.tolist()}"


def main(first: int, last: int) -> int:
    failed = 0
    for seed in range(first, last):
        for check in CHECKS:
            try:
                check(seed)
            except Exception as error:
                failed += 1
                place = traceback.extract_tb(error.__traceback__)[-1]
                line = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                print(f"{seed} {check.__name__}: {line} [{place.filename.rsplit('/', 1)[-1]}:{place.lineno}]")
                print(f"    {declare(seed)}")
    print(f"{failed} failures in {last - first} seeds")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
