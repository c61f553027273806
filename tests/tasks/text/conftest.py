"""A cache of its own for every test, and small corpora."""

import random

import pytest

WORDS = ["ripe", "apples", "fall", "gently", "onto", "grass", "while", "naïve", "crows", "watch", "€", "them\n"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "text"


def sentence(number, words=60):
    """A text that differs from that of every other number."""
    return f"{number}: " + " ".join(random.Random(number).choices(WORDS, k=words))


@pytest.fixture
def folder(tmp_path):
    """Forty text files of some 300 bytes."""
    place = tmp_path / "corpus"
    place.mkdir()
    for number in range(40):
        (place / f"f{number:02}.txt").write_text(sentence(number), encoding="utf-8")
    return place
