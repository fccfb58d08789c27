"""The least that a device can need: bytes over its bandwidth or operations over its peak, whichever is more.

Counted in 16-bit numbers, everything read and written once, weights aside where the tokens outweigh them a thousandfold.
Letters of a formula: R = sessions x stocks x lookback rows, C channels, I inner channels, P = tokens x active places.
"""

from typing import NamedTuple

from models.kernels.shapes import Shape

NUMBER = 2  # bytes


class Peak(NamedTuple):
    """What the maker states, dense."""

    bandwidth: float  # bytes a second
    products: float  # 16-bit tensor-core operations a second


PEAKS = {"H200": Peak(4.8e12, 989e12), "H100": Peak(3.35e12, 989e12), "A100": Peak(2.0e12, 312e12)}


class Work(NamedTuple):
    """What has to be done."""

    bytes: float
    operations: float

    def seconds(self, peak: Peak) -> float:
        """On a device that does nothing else."""
        return max(self.bytes / peak.bandwidth, self.operations / peak.products)


def peak_of(device: str) -> Peak | None:
    """By a part of the device's name; None for one that isn't listed."""
    return next((peak for part, peak in PEAKS.items() if part in device), None)


def operation_work(shape: Shape) -> dict[str, tuple[Work, Work]]:
    """(forward, forward and backward) of each operation at a shape."""
    tokens, keys, width = shape.sessions * shape.stocks, shape.lookback, shape.width
    rows, places = tokens * keys, tokens * shape.active
    head = width // shape.time_heads
    pairs = rows * keys * shape.time_heads * head  # of a query with a key, times numbers of a head
    across = shape.sessions * shape.stocks**2 * width
    expert = shape.experts * 3 * width * shape.inner * NUMBER
    panel = shape.stocks * (shape.sessions + keys) * shape.inputs * NUMBER
    stream, cross, mixed = rows * width * NUMBER, tokens * width * NUMBER, places * (width + shape.inner) * NUMBER
    scores = tokens * shape.horizons * 4
    return {
        # q k v in, o out; then q k v o do in, dq dk dv out, and five products instead of two
        "temporal_attention": (Work(4 * stream, 4 * pairs), Work(12 * stream, 14 * pairs)),
        "moe_route": (Work(tokens * shape.experts * 4, 0), Work(3 * tokens * shape.experts * 4, 0)),
        "moe_ffn": (Work(mixed + expert, 6 * places * width * shape.inner), Work(3 * (mixed + expert), 18 * places * width * shape.inner)),
        "embed_windows": (
            Work(stream + panel, 2 * rows * shape.inputs * width),
            Work(2 * (stream + panel), 4 * rows * shape.inputs * width),
        ),
        "pair_loss": (Work(2.25 * scores, 0), Work(4.25 * scores, 0)),
        "cross_attention": (Work(4 * cross, 4 * across), Work(12 * cross, 14 * across)),
        # two projections of C, five of C / 4, and the attention
        "time_sublayer": (Work(2 * stream, 5.5 * rows * width**2 + 4 * pairs), Work(5 * stream, 16.5 * rows * width**2 + 14 * pairs)),
    }


def step_work(shape: Shape) -> dict[str, Work]:
    """Forward and backward of each part of the ranker, each part one kernel.

    It reads and writes the stream once; its backward reads the stream and its gradient, makes the rest again, and writes the gradient.
    """
    works = operation_work(shape)
    tokens, width = shape.sessions * shape.stocks, shape.width
    rows = tokens * shape.lookback
    stream, small = rows * width * NUMBER, tokens * width * NUMBER
    feed = Work(5 * stream, 18 * rows * width * shape.inner)
    return {
        "windows, gate, projection": works["embed_windows"][1],
        "time blocks, attention": _times(shape.layers, works["time_sublayer"][1]),
        "time blocks, feed-forward": _times(shape.layers, feed),
        "pool": Work(3 * stream, 4.5 * rows * width**2),
        "cross blocks": _times(shape.cross_layers, Work(5 * small, 24 * tokens * width**2 + works["cross_attention"][1].operations)),
        "routed experts": works["moe_ffn"][1],
        "shared expert": Work(5 * small, 18 * tokens * width * shape.inner),
        "heads": Work(5 * small, shape.horizons * 12 * tokens * width**2),
        "pairs": works["pair_loss"][1],
    }


def _times(count: int, work: Work) -> Work:
    return Work(count * work.bytes, count * work.operations)
