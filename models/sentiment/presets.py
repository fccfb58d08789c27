"""The models that news is scored with, and what memory each needs: its weights, and a key-value cache for the pieces under way."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("presets.toml")
BYTES = {"bf16": 2.0, "q8": 1.0625, "q4": 0.5625}  # a weight; GGUF's q8_0 and q4_0 add a 16-bit scale to every 32
CACHED = 2  # bytes of a number in the key-value cache
TOKENS = 1200  # a piece: 600 of prompt, 512 of thinking, some to spare
SPARE = 1.1  # activations, buffers, fragmentation


@dataclass(frozen=True, slots=True)
class Preset:
    """A model by the numbers of its config."""

    name: str
    source: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    qkv_bias: bool

    @property
    def parameters(self) -> int:
        """Weights in all: embedding and head apart, grouped-query attention, gated MLP, norms (per head too where there is no bias)."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = self.hidden * (queries + 2 * keys) + queries * self.hidden
        small = 2 * self.hidden + (queries + 2 * keys if self.qkv_bias else 2 * self.head_dim)
        return 2 * self.vocabulary * self.hidden + self.layers * (attention + 3 * self.hidden * self.intermediate + small) + self.hidden

    @property
    def cache_bytes(self) -> int:
        """Key-value cache of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * CACHED

    def memory(self, weights: str = "bf16", *, pieces: int = 16) -> float:
        """Bytes that scoring so many pieces at once takes."""
        return (self.parameters * BYTES[weights] + pieces * TOKENS * self.cache_bytes) * SPARE


def presets() -> list[Preset]:
    """All of them, in the file's order."""
    return [Preset(name, **found) for name, found in tomllib.loads(FILE.read_text(encoding="utf-8")).items()]


def fitting(memory: float) -> list[tuple[Preset, str]]:
    """(model, the finest weights with which it fits into so many bytes), for those that fit at all."""
    found = ((preset, next((kind for kind in BYTES if preset.memory(kind) <= memory), None)) for preset in presets())
    return [(preset, kind) for preset, kind in found if kind is not None]
