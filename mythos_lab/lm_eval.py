"""Runs for EleutherAI's lm-evaluation-harness, with loop count and exit as arguments of the model.

The harness finds models by name once a module has registered them, and has no entry points for that; so this module is
run in its place, and takes what ``lm_eval`` takes::

    python -m mythos_lab.lm_eval --model mythos --model_args run=runs/words-0,num_loops=4 --tasks lambada_openai

In Python, importing it is enough: ``lm_eval.simple_evaluate(model="mythos", model_args={"run": ...}, ...)``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from mythos_blocks.generation import Sampling
from mythos_blocks.generation.decoder import exit_rule
from mythos_lab.finished.generation import Asked, generated
from mythos_lab.finished.run import load
from mythos_lab.recipe.precision import autocast_for

_NEW_TOKENS = 256  # where a task does not say

Scored = tuple[float, bool]
"""Log-likelihood of a continuation in nats, and whether it is the one that greedy decoding gives."""


@register_model("mythos")
class Mythos(TemplateLM):
    """A finished run on text, as the harness scores and prompts it.

    Sequences of one length are scored together and none is padded, so that a score is that of the text alone, whatever
    halts or exits.

    Args:
        run: Folder of a finished run; or its id in MLflow.
        num_loops: Loop count; without, the model's own.
        exit: Kind of the rule that stops positions early; without, the model's own.
        max_length: Positions of a text or a prompt that the model reads at most; without, the length that it was
            trained on. Of longer ones the end is read. What is generated comes after a prompt, and is not counted.
        batch_size: Sequences that are scored together at most.
        device: Where the model computes.
        store: MLflow's tracking URI, where the run is named by its id.

    Raises:
        ValueError: There is no such run, its tokens are no text, or an argument is out of range.
    """

    def __init__(
        self,
        run: str,
        num_loops: int | None = None,
        exit: str | None = None,
        max_length: int | None = None,
        batch_size: int | str | None = 8,
        max_batch_size: int | None = None,
        device: str | None = "cpu",
        store: str | None = None,
    ) -> None:
        super().__init__()
        if max_batch_size is not None or not str(batch_size).isdecimal():
            raise ValueError(f"batch_size={batch_size}: batches are of one length and of a fixed size; give a number")
        self._run = load(str(run), store=store)
        self._device = torch.device(device or "cpu")
        self._model = self._run.model.to(self._device)
        self._tokens = self._run.tokenizer
        self._num_loops, self._exit = num_loops, exit
        self._rule = None if exit is None else exit_rule(exit, self._model)
        self._max_length = int(max_length or self._run.recipe.task.length)  # type: ignore[union-attr]
        self._batch_size = int(batch_size)  # type: ignore[arg-type]
        if min(self._max_length, self._batch_size, 1 if num_loops is None else num_loops) < 1:
            raise ValueError("num_loops, max_length and batch_size must be at least 1")

    @property
    def eot_token_id(self) -> int:
        """The token that ends a document.

        Raises:
            ValueError: The run's text has none, so that nothing stands before a text's first token.
        """
        if self._tokens.end is None:
            raise ValueError(
                f"{self._run.folder}: its tokens have no end of a document, which the task needs before its texts; "
                "train with task.packing=packed"
            )
        return self._tokens.end

    @property
    def tokenizer_name(self) -> str:
        """Names the run's tokenizer, by which the harness keeps what it has tokenized."""
        return str(self._tokens.identity()["sha256"])

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Tokens of a text; none is added, whatever is asked: the run's tokenizer has none to add."""
        return [int(token) for token in self._tokens.encode([string])[0]]

    def _loglikelihood_tokens(self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any) -> list[Scored]:
        found: dict[int, Scored] = {}
        by_length: dict[int, list[int]] = defaultdict(list)
        rows = []
        for index, (_pair, context, continuation) in enumerate(requests):
            if len(continuation) > self._max_length:
                raise ValueError(f"a continuation of {len(continuation)} tokens: max_length is {self._max_length}")
            rows.append(([*context, *continuation][-self._max_length - 1 :], len(continuation)))
            by_length[len(rows[-1][0])].append(index)
        for indices in by_length.values():
            for first in range(0, len(indices), self._batch_size):
                together = indices[first : first + self._batch_size]
                logits = self._logits([rows[index][0] for index in together])
                found |= {index: _score(each, *rows[index]) for index, each in zip(together, logits, strict=True)}
        return [found[index] for index in range(len(rows))]

    def _logits(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """Of every token after the first: ``(rows, tokens - 1, vocab_size)``."""
        tokens = torch.tensor([row[:-1] for row in rows], device=self._device)
        with torch.no_grad(), autocast_for(self._run.recipe, self._device):
            return self._model(tokens, iterations=self._num_loops, exit=self._rule).logits.cpu()

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of whole texts, in windows that each begin where the last one ended."""
        found = []
        for (text,) in (request.args for request in requests):
            windows = get_rolling_token_windows(self.tok_encode(text), self.eot_token_id, self._max_length, 1)
            pairs = [(None, *make_disjoint_window(window)) for window in windows]
            found.append(sum(score for score, _ in self._loglikelihood_tokens(pairs)))
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Text that follows each prompt, up to the first of the strings at which it is to stop.

        Raises:
            ValueError: A task asks for beams.
        """
        return [self._continued(*request.args) for request in requests]

    def _continued(self, prompt: str, options: dict[str, Any]) -> str:
        if options.get("num_beams", 1) != 1:
            raise ValueError("num_beams: a run generates one text at a time")
        stops = options.get("until") or []
        stops = [stops] if isinstance(stops, str) else stops
        temperature = float(options.get("temperature", 0)) if options.get("do_sample", False) else 0.0
        asked = Asked(
            max_new_tokens=int(options.get("max_gen_toks", _NEW_TOKENS)),
            num_loops=self._num_loops,
            exit=self._exit,
            sampling=Sampling(temperature, options.get("top_k"), options.get("top_p")),
        )
        text = ""
        tokens = self.tok_encode(prompt)[-self._max_length :] or [self.eot_token_id]
        for step in generated(self._run, tokens, asked, as_text=True):
            text += step.text
            if places := [text.index(stop) for stop in stops if stop and stop in text]:
                return text[: min(places)]
        return text


def _score(logits: torch.Tensor, row: list[int], num_scored: int) -> Scored:
    targets = torch.tensor(row[-num_scored:])
    log = logits[-num_scored:].double().log_softmax(-1)
    return float(log.gather(-1, targets[:, None]).sum()), bool((log.argmax(-1) == targets).all())


def main() -> None:
    """The harness's own command, which knows this model."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
