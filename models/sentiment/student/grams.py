"""Hashed character n-grams: texts become sparse rows, without a vocabulary and in one pass.

Dims: N texts, C classes.  A sparse matrix is (edges [N + 1], columns, values): the row n holds the entries edges[n] … edges[n + 1] - 1.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

LONGEST = 4  # characters of the longest gram
START, END = 2, 3  # code points that no text has, before its first and after its last character
ZERO = 48  # every digit counts as '0': what a figure looks like says more than its value

Codes = NDArray[np.uint32]
Ints = NDArray[np.int32]
Edges = NDArray[np.int64]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


def codes(texts: Sequence[str]) -> tuple[Codes, Edges]:
    """(code points of all texts one after another, edges [N + 1])."""
    edges = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=edges[1:])
    # lone surrogates, which untrusted text may hold, pass as the code points that they are
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32), edges


@njit(cache=True, nogil=True)
def folded(code: int) -> int:
    """The character that this one counts as: full width as half, upper case as lower, every digit as 0."""
    if 0xFF01 <= code <= 0xFF5E:
        code -= 0xFEE0
    if 65 <= code <= 90:
        return code + 32
    if 48 <= code <= 57:
        return ZERO
    return code


@njit(cache=True, nogil=True)
def counts(codes: Codes, edges: Edges, bits: int) -> tuple[Edges, Ints, Ints]:
    """The sparse matrix of how often each bucket's grams stand in each text; columns are buckets below 2**bits, in order of first appearance."""
    texts = len(edges) - 1
    most = 0
    for n in range(texts):
        most += LONGEST * (edges[n + 1] - edges[n] + 2)
    columns, values = np.empty(most, np.int32), np.empty(most, np.int32)
    found = np.zeros(texts + 1, np.int64)
    place = np.full(1 << bits, -1, np.int64)  # where the bucket's last entry stands; before the row: of an earlier text
    end = 0
    for n in range(texts):
        first = end
        length = edges[n + 1] - edges[n] + 2
        for i in range(length):
            h = np.uint64(14695981039346656037)
            for k in range(i, min(i + LONGEST, length)):
                code = START if k == 0 else END if k == length - 1 else folded(codes[edges[n] + k - 1])
                h = (h ^ np.uint64(code)) * np.uint64(1099511628211)
                mixed = (h ^ (h >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
                bucket = np.int64(mixed >> np.uint64(64 - bits))
                if place[bucket] < first:
                    place[bucket] = end
                    columns[end], values[end] = bucket, 0
                    end += 1
                values[place[bucket]] += 1
        found[n + 1] = end
    return found, columns[:end].copy(), values[:end].copy()


@njit(cache=True, nogil=True)
def weighed(edges: Edges, buckets: Ints, counts: Ints, column: Ints, scale: Floats32) -> tuple[Edges, Ints, Floats32]:
    """Counts as 1 + log(count) times the column's scale, each row of length 1; buckets without a column (-1) are left out."""
    found = np.zeros_like(edges)
    columns, values = np.empty(len(buckets), np.int32), np.empty(len(buckets), np.float32)
    end = 0
    for n in range(len(edges) - 1):
        first, square = end, 0.0
        for k in range(edges[n], edges[n + 1]):
            j = column[buckets[k]]
            if j >= 0:
                value = (1 + np.log(counts[k])) * scale[j]
                columns[end], values[end] = j, value
                square += value * value
                end += 1
        for k in range(first, end):
            values[k] /= np.sqrt(square)
        found[n + 1] = end
    return found, columns[:end].copy(), values[:end].copy()


@njit(cache=True, nogil=True)
def times(edges: Edges, columns: Ints, values: Floats32, weights_KC: Floats32 | Floats, out_NC: Floats) -> None:
    """The sparse matrix times the weights, added to out."""
    row_C = np.empty(out_NC.shape[1])  # apart from both matrices, so that the compiler may take several classes at once
    for n in range(len(edges) - 1):
        row_C[:] = out_NC[n]
        for k in range(edges[n], edges[n + 1]):
            value, weight_C = np.float64(values[k]), weights_KC[columns[k]]
            for c in range(len(row_C)):
                row_C[c] += value * weight_C[c]
        out_NC[n] = row_C


def rows_of(matrix: tuple[Edges, Ints, Floats32], rows: Edges) -> tuple[Edges, Ints, Floats32]:
    """These rows of a sparse matrix, in this order."""
    edges, columns, values = matrix
    lengths = edges[rows + 1] - edges[rows]
    found = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(found[-1]) - np.repeat(found[:-1] - edges[rows], lengths)
    return found, columns[places], values[places]
