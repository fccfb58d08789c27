"""Cross-sections: operators over the stocks of one session, [N], NaN = null.

Sums go from one stock to the next, so that a stock listed years later doesn't change the last bits.  Imports numpy and numba alone.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]
Places = NDArray[np.int32]

SECTIONS = ("cs_rank", "cs_z_score", "cs_mean", "cs_std", "cs_scale", "cs_group_mean", "cs_group_rank", "cs_residual")
CS_RANK, CS_Z_SCORE, CS_MEAN, CS_STD, CS_SCALE, CS_GROUP_MEAN, CS_GROUP_RANK, CS_RESIDUAL = range(len(SECTIONS))
FEW = 48  # values that are sorted faster by insertion
SIGN = np.uint64(1 << 63)


@njit(cache=True, nogil=True)
def section(op: int, x: Floats, other: Floats, value: float, out: Floats, keys: Words, places: Places) -> None:
    """Any of SECTIONS.  other: groups, whole numbers from 0 on, or a second series; value: a scale's sum; keys and places [2, N]: room to sort."""
    if op in (CS_RANK, CS_GROUP_RANK):
        out[:] = np.nan
        which, count = _sorted(x, other, op == CS_GROUP_RANK, keys, places)
        if op == CS_RANK:
            _ranks(keys[which], places[which], count, out)
        else:
            _group_ranks(keys[which], places[which], count, other, out)
    elif op == CS_GROUP_MEAN:
        _group_means(x, other, out)
    elif op == CS_RESIDUAL:
        _residuals(x, other, out)
    else:
        _moments(op, x, value, out)


@njit(cache=True, nogil=True)
def _sorted(x: Floats, groups: Floats, grouped: bool, keys: Words, places: Places) -> tuple[int, int]:
    """Values, as words of the same order, and their places, ascending: (which of the two rows of keys and places they ended in, how many)."""
    bits = x.view(np.uint64)
    count = 0
    for j in range(len(x)):
        if x[j] == x[j] and (not grouped or groups[j] == groups[j]):
            word = bits[j]
            if x[j] == 0.0:
                word = np.uint64(0)  # -0 is 0
            keys[0, count] = ~word if word & SIGN else word | SIGN
            places[0, count] = j
            count += 1
    if count > FEW:
        return _by_digits(keys, places, count), count
    for i in range(1, count):
        word, place = keys[0, i], places[0, i]
        k = i
        while k > 0 and keys[0, k - 1] > word:
            keys[0, k], places[0, k] = keys[0, k - 1], places[0, k - 1]
            k -= 1
        keys[0, k], places[0, k] = word, place
    return 0, count


@njit(cache=True, nogil=True)
def _by_digits(keys: Words, places: Places, count: int) -> int:
    """Radix sort by bytes, the lowest first; a byte that all words share is passed over."""
    seen = np.zeros((8, 256), np.int32)
    for i in range(count):
        word = keys[0, i]
        for digit in range(8):
            seen[digit, (word >> np.uint64(8 * digit)) & np.uint64(255)] += 1
    now = 0
    for digit in range(8):
        shift = np.uint64(8 * digit)
        if seen[digit, (keys[now, 0] >> shift) & np.uint64(255)] == count:
            continue
        start = 0
        for byte in range(256):
            start, seen[digit, byte] = start + seen[digit, byte], start
        for i in range(count):
            word = keys[now, i]
            byte = (word >> shift) & np.uint64(255)
            to = seen[digit, byte]
            seen[digit, byte] = to + 1
            keys[1 - now, to], places[1 - now, to] = word, places[now, i]
        now = 1 - now
    return now


@njit(cache=True, nogil=True)
def _ranks(keys: Words, places: Places, count: int, out: Floats) -> None:
    """Ranks over their count, in (0, 1], ties averaged."""
    first = 0
    while first < count:
        stop = first + 1
        while stop < count and keys[stop] == keys[first]:
            stop += 1
        rank = 0.5 * (first + stop + 1) / count
        for i in range(first, stop):
            out[places[i]] = rank
        first = stop


@njit(cache=True, nogil=True)
def _group_count(groups: Floats) -> int:
    top = -1.0
    for j in range(len(groups)):
        if groups[j] > top:
            top = groups[j]
    return int(top) + 1


@njit(cache=True, nogil=True)
def _group_ranks(keys: Words, places: Places, count: int, groups: Floats, out: Floats) -> None:
    """Ranks over the count of the group, in (0, 1], ties averaged: one run of equal values after the other, with what each group has passed."""
    size = _group_count(groups)
    below, equal = np.zeros(size), np.zeros(size)
    first = 0
    while first < count:
        stop = first
        while stop < count and keys[stop] == keys[first]:
            equal[int(groups[places[stop]])] += 1.0
            stop += 1
        for i in range(first, stop):
            group = int(groups[places[i]])
            out[places[i]] = below[group] + 0.5 * (equal[group] + 1.0)
        for i in range(first, stop):
            group = int(groups[places[i]])
            below[group] += equal[group]
            equal[group] = 0.0
        first = stop
    for i in range(count):
        out[places[i]] /= below[int(groups[places[i]])]


@njit(cache=True, nogil=True)
def _group_means(x: Floats, groups: Floats, out: Floats) -> None:
    """Mean of the group, given to each of its stocks, whether it has a value itself or not."""
    size = _group_count(groups)
    total, count = np.zeros(size), np.zeros(size)
    for j in range(len(x)):
        if x[j] == x[j] and groups[j] == groups[j]:
            total[int(groups[j])] += x[j]
            count[int(groups[j])] += 1.0
    for j in range(len(x)):
        known = groups[j] == groups[j] and count[int(groups[j])] > 0.0
        out[j] = total[int(groups[j])] / count[int(groups[j])] if known else np.nan


@njit(cache=True, nogil=True)
def _moments(op: int, x: Floats, value: float, out: Floats) -> None:
    """Mean, population deviation, distance from the mean in deviations (0 where there are none), or x over its sum of magnitudes."""
    total, magnitude, square, top, count = 0.0, 0.0, 0.0, 0.0, 0
    for j in range(len(x)):
        if x[j] == x[j]:
            total += x[j]
            magnitude += abs(x[j])
            top = max(top, abs(x[j]))
            count += 1
    mean = total / count if count > 0 else np.nan
    for j in range(len(x)):
        if x[j] == x[j]:
            square += (x[j] - mean) ** 2
    spread = np.sqrt(square / count) if count > 0 else np.nan
    if spread <= 1e-12 * top:  # a constant row misses its mean by rounding alone
        spread = 0.0
    for j in range(len(x)):
        if op == CS_MEAN:
            out[j] = mean
        elif op == CS_STD:
            out[j] = spread
        elif op == CS_SCALE:
            out[j] = value * x[j] / magnitude if magnitude > 0.0 else np.nan
        else:
            out[j] = (x[j] - mean) / spread if spread > 0.0 else 0.0 * x[j]


@njit(cache=True, nogil=True)
def _residuals(y: Floats, x: Floats, out: Floats) -> None:
    """What a line in x leaves of y; null where either is, y less its mean where x has no spread."""
    mean_y, mean_x, top, count = 0.0, 0.0, 0.0, 0
    for j in range(len(x)):
        if x[j] == x[j] and y[j] == y[j]:
            mean_y += y[j]
            mean_x += x[j]
            top = max(top, abs(x[j]))
            count += 1
    mean_y, mean_x = mean_y / max(count, 1), mean_x / max(count, 1)
    xx, xy = 0.0, 0.0
    for j in range(len(x)):
        if x[j] == x[j] and y[j] == y[j]:
            xx += (x[j] - mean_x) ** 2
            xy += (x[j] - mean_x) * (y[j] - mean_y)
    slope = xy / xx if xx > count * (1e-12 * top) ** 2 else 0.0
    for j in range(len(x)):
        out[j] = y[j] - mean_y - slope * (x[j] - mean_x)
