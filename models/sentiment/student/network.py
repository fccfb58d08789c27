"""The encoder as torch trains it.  Dims: B texts of a batch, T characters, V alphabet, E embedding, H channels of each of W widths, C classes."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data.progress import Track, silent
from models.sentiment.student.encoder import EncoderSettings
from models.sentiment.student.grams import Edges, Ints
from models.sentiment.student.losses import Targets, loss
from models.sentiment.student.tables import PAD, UNKNOWN

Weights = dict[str, NDArray[np.float32]]


class Network(nn.Module):
    """Embedded characters, a convolution of each width, the largest positive response over the text, a linear head."""

    def __init__(self, characters: int, embedding: int, channels: int, widths: tuple[int, ...], classes: int, dropout: float) -> None:
        """Random weights."""
        super().__init__()
        self.embed = nn.Embedding(characters, embedding, padding_idx=PAD)
        self.convolutions = nn.ModuleList([nn.Conv1d(embedding, channels, width) for width in widths])
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(channels * len(widths), classes)

    def forward(self, x_BT: Tensor, length_B: Tensor) -> Tensor:
        """Logits [B, C]; windows that reach beyond a text's length don't count."""
        e_BET = self.drop(self.embed(x_BT)).transpose(1, 2)
        found = []
        for convolution in self.convolutions:
            r_BHT = torch.relu(convolution(e_BET))
            width = x_BT.shape[1] - r_BHT.shape[2] + 1
            inside_BT = torch.arange(r_BHT.shape[2])[None] <= (length_B - width)[:, None]
            found.append((r_BHT * inside_BT[:, None]).amax(dim=2))
        return self.head(self.drop(torch.cat(found, dim=1)))

    def weights(self) -> Weights:
        """Copies of all weights by name."""
        return {name: value.detach().numpy().copy() for name, value in self.state_dict().items()}


def trained(
    network: Network,
    edges: Edges,
    characters: Ints,
    targets: Targets,
    rows: Edges,
    settings: EncoderSettings,
    *,
    seed: int,
    track: Track = silent,
) -> Iterator[Weights]:
    """The weights after each epoch over these rows of the texts (edges, characters)."""
    rng, batch = np.random.default_rng(seed), settings.batch
    optimiser = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=settings.epochs * -(-len(rows) // batch))
    for _ in track(range(settings.epochs), "student: epochs"):
        network.train()
        for part in _batches(edges, rows, batch, rng):
            x_BT, length_B = _padded(edges, characters, part)
            x_BT[(rng.random(x_BT.shape) < settings.blanked) & (x_BT != PAD)] = UNKNOWN
            z_BC = network(torch.from_numpy(x_BT), torch.from_numpy(length_B))
            _, gradient_BC = loss(z_BC.detach().double().numpy(), targets[part])
            optimiser.zero_grad()
            z_BC.backward(torch.from_numpy(gradient_BC / len(part)).float())
            optimiser.step()
            schedule.step()
        yield network.weights()


def _batches(edges: Edges, rows: Edges, size: int, rng: np.random.Generator) -> Iterator[Edges]:
    """The rows in random batches of texts of about the same length."""
    rows = rng.permutation(rows)
    near = [group[np.argsort(edges[group + 1] - edges[group], kind="stable")] for group in np.array_split(rows, max(1, len(rows) // (size * 32)))]
    cuts = [*range(0, len(rows), size), len(rows)]
    lined = np.concatenate(near)
    found = [lined[first:last] for first, last in pairwise(cuts)]
    for place in rng.permutation(len(found)):
        yield found[place]


def _padded(edges: Edges, characters: Ints, rows: Edges) -> tuple[NDArray[np.int64], Edges]:
    """(characters [B, T], lengths [B]) of these rows."""
    length_B = edges[rows + 1] - edges[rows]
    x_BT = np.full((len(rows), int(length_B.max())), PAD, np.int64)
    for place, row in enumerate(rows):
        x_BT[place, : length_B[place]] = characters[edges[row] : edges[row + 1]]
    return x_BT, length_B
