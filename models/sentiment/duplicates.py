"""Near-duplicates: the same piece printed twice is scored once.

Two pieces count as one where they concern the same company, share their numbers and the lexicon's words in the same order, and the
Jaccard similarity of their character 3-grams reaches a threshold.  Numbers and words are compared because a title of opposite
meaning may differ in one character.  A piece joins an earlier one only, so later news changes no earlier group.
"""

import re
import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.sentiment.answers import News
from models.sentiment.defence import cleaned
from models.sentiment.lexicon import Lexicon

GRAM = 3
BANDS, ROWS = 12, 5  # of 60 min-hashes: at similarity 0.9 one band agrees with probability 0.99997
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SPACE = re.compile(r"[\s\W_]+")

Ints = NDArray[np.int64]
Facts = tuple[str, ...]  # company and numbers


def leaders(news: Sequence[News], threshold: float) -> list[int]:
    """For every piece, in order of publication, the place of the first piece that says the same: its own where none does."""
    buckets: dict[tuple[Facts, int, bytes], list[int]] = {}
    texts: dict[int, str] = {}
    found = []
    for place, piece in enumerate(news):
        text = _text(piece)
        facts = (piece.symbol, piece.name, *_NUMBER.findall(text))
        keys = [(facts, band, signature) for band, signature in enumerate(_signatures(shingles(text)))]
        near = sorted({other for key in keys for other in buckets.get(key, ())})
        leader = next((other for other in near if same(text, texts[other], threshold)), place)
        found.append(leader)
        if leader == place:
            texts[place] = text
            for key in keys:
                buckets.setdefault(key, []).append(place)
    return found


def same(one: str, other: str, threshold: float) -> bool:
    """Whether two texts with the same numbers say the same."""
    return similarity(shingles(one), shingles(other)) >= threshold and _lexicon().hits(one) == _lexicon().hits(other)


def shingles(text: str) -> frozenset[str]:
    """Character 3-grams of the text without signs and spaces."""
    bare = _SPACE.sub("", text)
    return frozenset(bare[place : place + GRAM] for place in range(max(len(bare) - GRAM + 1, 1)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: what both have over what either has."""
    return len(one & other) / len(one | other)


def _text(piece: News) -> str:
    return f"{cleaned(piece.title).text}\n{cleaned(piece.body).text}"


def _signatures(grams: frozenset[str]) -> list[bytes]:
    """One signature a band: least hashes of the grams under fixed maps, the upper halves of products modulo 2^64.  (Dietzfelbinger et al. 1997)"""
    hashes = np.fromiter((zlib.crc32(gram.encode()) for gram in grams), dtype=np.uint64, count=len(grams))
    factors, shifts = _maps()
    least = ((hashes[:, None] * factors + shifts) >> np.uint64(32)).min(axis=0)
    return [row.tobytes() for row in least.reshape(BANDS, ROWS)]


@cache
def _maps() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    rng = np.random.default_rng(0)
    size = BANDS * ROWS
    return rng.integers(1, 1 << 63, size, dtype=np.uint64) * np.uint64(2) + np.uint64(1), rng.integers(0, 1 << 63, size, dtype=np.uint64)


@cache
def _lexicon() -> Lexicon:
    return Lexicon()
