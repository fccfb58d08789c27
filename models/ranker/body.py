"""What every network that ranks a session's stocks is: rows of a panel in, a score per slot and horizon out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.ranker.parts import Straight

STRAIGHT = "straight"


class Output(NamedTuple):
    """Scores of the slots, whatever they hold, and how many present stocks each expert got; load_E is empty without experts."""

    score_SNH: Tensor
    load_E: Tensor


class Body(nn.Module, ABC):
    """A network over windows of a panel.  Its weights are float32; what it computes in is its caller's choice (autocast)."""

    def __init__(self, horizons: int, straight: Straight | None = None) -> None:
        super().__init__()
        self.horizons, self.straight = horizons, straight

    @abstractmethod
    def forward(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Output:
        """Scores of the windows that these rows of the panel make.

        x_QF: the inputs of a row; row 0 says nothing.  row_SNT int64: the rows of each slot's window, 0 where the stock was absent; a slot
        whose last row is 0 holds no stock.  m_SM: the market of each session.
        """

    def opinions(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Tensor:
        """score_SNO of all that vote: the heads, then the straight way where there is one, by the names that `voters` gives."""
        score_SNH = self(x_QF, row_SNT, m_SM).score_SNH.float()
        return score_SNH if self.straight is None else torch.cat([score_SNH, self.straight(x_QF, row_SNT, m_SM)[..., None]], dim=-1)

    def voters(self, horizons: Sequence[int]) -> list[str]:
        """Names of the opinions: a head by its horizon."""
        return [*map(str, horizons), *([] if self.straight is None else [STRAIGHT])]

    def rebalance(self, load_E: Tensor, step: float) -> None:
        """Move whatever is balanced by load instead of a gradient, after a step."""
