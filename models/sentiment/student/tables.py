"""A convolution over embedded characters as sums of looked-up rows: no multiplication is left but the last.

A window's response is the sum over its places of kernel_place · embedding(character), so each place has a table of all characters'
responses, made once.  Dims: V characters, H channels a width, P places of all widths together, N texts.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.sentiment.student.grams import END, START, Codes, Edges, Floats32, Ints, folded

PAD, UNKNOWN = 0, 1  # characters every alphabet begins with


@njit(cache=True, nogil=True)
def spelled(codes: Codes, edges: Edges, character: Ints, longest: int, least: int) -> tuple[Edges, Ints]:
    """Texts as characters of the alphabet, START and END around the first `longest` of each, padded to `least`; (edges, characters)."""
    found = np.zeros_like(edges)
    for n in range(len(edges) - 1):
        found[n + 1] = found[n] + max(min(edges[n + 1] - edges[n], longest) + 2, least)
    out = np.zeros(found[-1], np.int32)  # PAD
    for n in range(len(edges) - 1):
        length = min(edges[n + 1] - edges[n], longest)
        out[found[n]] = character[START]
        for k in range(length):
            out[found[n] + 1 + k] = character[folded(codes[edges[n] + k])]
        out[found[n] + 1 + length] = character[END]
    return found, out


@njit(cache=True, nogil=True)
def pooled(edges: Edges, characters: Ints, table_PVH: Floats32, bias_WH: Floats32, widths: Ints, out_NWH: Floats32) -> None:
    """The largest positive response of each channel over the windows of each text, 0 where none is positive."""
    channels = table_PVH.shape[2]
    response = np.empty(channels, np.float32)
    for n in range(len(edges) - 1):
        place = 0
        for w in range(len(widths)):
            best = out_NWH[n, w]
            best[:] = 0.0
            for first in range(edges[n], edges[n + 1] - widths[w] + 1):
                response[:] = bias_WH[w]
                for k in range(widths[w]):
                    row = table_PVH[place + k, characters[first + k]]
                    for h in range(channels):
                        response[h] += row[h]
                for h in range(channels):
                    best[h] = response[h] if response[h] > best[h] else best[h]
            place += widths[w]


def table(embedding_VE: Floats32, kernels: list[NDArray[np.float32]]) -> Floats32:
    """Responses [P, V, H] of every character at every place; kernels: [H, E, width] each."""
    return np.stack([embedding_VE @ kernel[:, :, k].T for kernel in kernels for k in range(kernel.shape[2])])


@njit(cache=True, nogil=True)
def folded_all(codes: Codes) -> Codes:
    """Every code point as the character that it counts as."""
    out = np.empty_like(codes)
    for place in range(len(codes)):
        out[place] = folded(codes[place])
    return out
