"""How often the 95 % interval of a text's validation loss holds the truth, by the size and the kind of the corpus.

    python benchmarks/text_intervals.py               # some two minutes on one core
    python benchmarks/text_intervals.py --tries 10    # whether it runs

A corpus is drawn, written and read as a task with default fields, and its validation split is scored by a model whose
true loss is known: a fixed table of what follows each byte. Prints how many intervals hold the truth, how many were
withheld, and how wide they are in the median. Quoted in docs/tasks.md.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mythos_lab.measures.evaluate import by_unit
from mythos_lab.tasks import Text
from mythos_lab.tasks.text.files import Files

_NUM_QUANTILES = 4096
SIZES = (20_000, 100_000, 400_000)
Rng = np.random.Generator
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Corpus:
    """A corpus that was drawn.

    Attributes:
        documents: Its texts; one is written as a text file, several as rows.
        truth: The model's loss per byte on all that it might have been drawn from.
    """

    documents: list[bytes]
    truth: float


def chain(rng: Rng, num_bytes: int) -> Corpus:
    """One text, a Markov chain of letters that goes from one manner to another every 200 letters or so."""
    transitions, table = _manners()
    manner = np.repeat(np.arange(num_bytes) % 2, rng.geometric(1 / 200, num_bytes))[:num_bytes]
    letter, letters = 0, bytearray()
    quantiles = _quantiles()
    for m, draw in zip(manner.tolist(), rng.integers(_NUM_QUANTILES, size=num_bytes).tolist(), strict=True):
        letter = quantiles[m][letter][draw]
        letters.append(97 + letter)
    stationary = [np.linalg.matrix_power(step, 200)[0] for step in transitions]
    losses = table[97:117, 97:117]
    truth = np.mean([(p[:, None] * step * losses).sum() for p, step in zip(stationary, transitions, strict=True)])
    return Corpus([bytes(letters)], float(truth))


def passage(rng: Rng, num_bytes: int) -> Corpus:
    """One text, so many bytes of the standard library as they stand; the truth is the loss on all of them."""
    whole = b"\n".join(_library())
    begin = int(rng.integers(len(whole) - num_bytes))
    text = whole[begin : begin + num_bytes].decode("utf-8", "ignore").encode()
    return Corpus([text], float(_losses(text).mean()))


def paragraphs(rng: Rng, num_bytes: int) -> Corpus:
    """Rows of up to 4 kB, each between blank lines of the standard library; the truth is the loss on all such."""
    pieces, means, lengths = _pieces()
    order = rng.permutation(len(pieces))
    num = int(np.searchsorted(lengths[order].cumsum(), num_bytes)) + 1
    return Corpus([pieces[i] for i in order[:num]], float((means * lengths).sum() / lengths.sum()))


SOURCES: dict[str, Callable[[Rng, int], Corpus]] = {"chain": chain, "passage": passage, "paragraphs": paragraphs}


def interval(corpus: Corpus, table: Table, folder: Path) -> tuple[float, float] | None:
    """The 95 % interval of the validation loss, as evaluation makes it."""
    several = len(corpus.documents) > 1
    path = folder / ("rows.jsonl" if several else "text.txt")
    rows = [json.dumps({"text": text.decode()}).encode() for text in corpus.documents]
    path.write_bytes(b"\n".join(rows) if several else corpus.documents[0])
    task = Text(path=str(path), length=64)
    batch = task.batch("validation", range(task.size("validation")))
    scored = torch.ones_like(batch.targets, dtype=torch.bool)
    losses = torch.from_numpy(table)[batch.tokens, batch.targets].flatten()
    return by_unit(batch, scored, torch.zeros_like(losses), losses).loss_interval()


def coverage(source: str, num_bytes: int, tries: int, seed: int = 0) -> tuple[int, int, float]:
    """Intervals that hold the truth, intervals withheld, and the median width."""
    table = _manners()[1] if source == "chain" else _table()
    held, withheld, widths = 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        for k in range(tries):
            corpus = SOURCES[source](np.random.default_rng((seed, k)), num_bytes)
            if (ends := interval(corpus, table, Path(folder))) is None:
                withheld += 1
                continue
            held += ends[0] <= corpus.truth <= ends[1]
            widths.append(ends[1] - ends[0])
    return held, withheld, float(np.median(widths)) if widths else float("nan")


def _losses(text: bytes) -> NDArray[Any]:
    letters = np.frombuffer(text, np.uint8)
    return _table()[letters[:-1], letters[1:]]


@cache
def _library() -> list[bytes]:
    files = Files(None, (".py",), "text")
    return [item.data for item in files.documents() if item.data]


@cache
def _table() -> Table:
    """What follows each byte in every third file of the library, as losses in nats ``(256, 256)``."""
    counts = np.full((256, 256), 0.05)
    for data in _library()[::3]:
        letters = np.frombuffer(data, np.uint8)
        np.add.at(counts, (letters[:-1], letters[1:]), 1)
    return -np.log(counts / counts.sum(1, keepdims=True))


@cache
def _pieces() -> tuple[list[bytes], NDArray[Any], NDArray[Any]]:
    """Pieces of the library, each piece once, with the mean loss and the number of the bytes that follow another."""
    pieces = list(dict.fromkeys(p for data in _library() for p in data.split(b"\n\n") if 40 < len(p.strip()) < 4000))
    sums = [_losses(piece) for piece in pieces]
    return pieces, np.array([s.mean() for s in sums]), np.array([len(s) for s in sums], dtype=float)


@cache
def _manners() -> tuple[Table, Table]:
    """Two transition matrices over twenty letters ``(2, 20, 20)``, and a model's losses, right for neither."""
    rng = np.random.default_rng(7)
    drawn = [rng.multinomial(_NUM_QUANTILES, p) for p in rng.dirichlet(np.full(20, 0.3), 40)]
    steps = np.stack(drawn).reshape(2, 20, 20) / _NUM_QUANTILES
    table = np.full((256, 256), np.log(256.0))
    table[97:117, 97:117] = -np.log(0.5 * steps[0] + 0.2 * steps[1] + 0.3 / 20)
    return steps, table


@cache
def _quantiles() -> list[list[list[int]]]:
    """The letters that may follow each, by manner, each as often as it does in so many draws."""
    counts = np.rint(_manners()[0] * _NUM_QUANTILES).astype(int)
    return [[np.repeat(np.arange(20), row).tolist() for row in manner] for manner in counts]


def main() -> None:
    """Print the coverage of every source and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=80)
    tries = parser.parse_args().tries
    print(f"Python {sysconfig.get_python_version()}; {tries} tries each")
    print(f"{'corpus':<12}{'bytes':>9}{'hold':>7}{'withheld':>10}{'width':>9}")
    for source in SOURCES:
        for size in SIZES:
            held, withheld, width = coverage(source, size, tries)
            print(f"{source:<12}{size:>9,}{held:>7}{withheld:>10}{width:>9.3f}")


if __name__ == "__main__":
    main()
