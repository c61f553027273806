"""Loops of known permutations by name, and how many of them are used and distinct."""

import numpy as np

TRUTHS = {
    "all equal": ("aaaaaa", 6, 1),
    "all distinct": ("abcdef", 6, 6),
    "pairs": ("aabbcc", 6, 3),
    "idle tail": ("abc---", 3, 3),
    "idle middle": ("a--bcd", 4, 4),
    "first special": ("abbbbb", 6, 2),
    "two alternating": ("ababab", 6, 2),
}
"""A letter names a permutation, a dash the identity."""


def tables(letters, num_tokens, seed=0):
    """A permutation for each iteration, ``(T, num_tokens)``; letters differ from each other and from the identity."""
    generator, known = np.random.default_rng(seed), {"-": np.arange(num_tokens)}
    for letter in letters:
        while letter not in known:
            drawn = generator.permutation(num_tokens)
            if not any(np.array_equal(drawn, other) for other in known.values()):
                known[letter] = drawn
    return np.stack([known[letter] for letter in letters])
