"""A finished run's model goes on with a text, or with token numbers, and tells the loops that each token took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import commonprefix

import torch

from mythos_blocks.generation import Sampling, stream
from mythos_lab.finished.run import Run
from mythos_lab.recipe.errors import RecipeError


@dataclass(frozen=True)
class Generated:
    """One new token.

    Attributes:
        token: Its number.
        text: What it adds to the text; empty where it is a part of a character that is not whole yet, and of tasks
            whose tokens are no text.
        num_loops: Iterations run by the position from whose logits it was drawn.
    """

    token: int
    text: str
    num_loops: int


@dataclass(frozen=True)
class Asked:
    """What is asked of a model.

    Attributes:
        max_new_tokens: Tokens to generate at most.
        num_loops: Loop count; ``None`` runs the model's own.
        exit: Kind of the rule that stops positions early; ``None`` takes the model's.
        sampling: How tokens are drawn.
        seed: Of the random numbers.
        lazy: Whether positions go on after their exits where later ones need it, instead of being frozen there.
    """

    max_new_tokens: int = 100
    num_loops: int | None = None
    exit: str | None = None
    sampling: Sampling = Sampling()
    seed: int = 0
    lazy: bool = False


def prompt_tokens(run: Run, prompt: str | None, tokens: Sequence[int] | None) -> list[int]:
    """The numbers of a prompt, which is a text or token numbers.

    Raises:
        RecipeError: It is both, neither, or empty; or a text where the tokens are none.
    """
    if (prompt is None) == (tokens is None):
        raise RecipeError("expected a prompt, or token numbers, and not both")
    found = list(tokens) if tokens is not None else run.tokenizer.encode([prompt or ""])[0].tolist()
    if not found:
        raise RecipeError("the prompt is empty; expected at least one token")
    return found


def generated(run: Run, prompt: Sequence[int], asked: Asked, *, as_text: bool) -> Iterator[Generated]:
    """The tokens that follow a prompt, as they come.

    Args:
        run: The run.
        prompt: Token numbers.
        asked: How many, and how.
        as_text: Whether tokens are to be made into text.

    Raises:
        RecipeError: The model does not take the prompt, the loops or the exit.
    """
    tokenizer = run.tokenizer if as_text else None
    new: list[int] = []
    shown = ""
    try:
        for step in stream(
            run.model,
            torch.tensor([list(prompt)], device=run.model.embedding.weight.device),
            max_new_tokens=asked.max_new_tokens,
            iterations=asked.num_loops,
            sampling=asked.sampling,
            seed=asked.seed,
            eos=None if tokenizer is None else tokenizer.end,
            exit=asked.exit,
            lazy=asked.lazy,
        ):
            new.append(int(step.tokens[0]))
            if tokenizer is not None:
                text = tokenizer.decode(new)
                # A character of several tokens is shown once it is whole.
                whole = text if not text.endswith("�") or len(new) == asked.max_new_tokens else shown
                added = whole[len(commonprefix([whole, shown])) :]
                yield Generated(new[-1], added, int(step.num_loops[0]))
                shown = whole
            else:
                yield Generated(new[-1], "", int(step.num_loops[0]))
    except ValueError as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(str(error)) from None
