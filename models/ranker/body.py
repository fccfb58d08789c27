"""What every network that ranks a session's stocks is: rows of a panel in, a score per slot and horizon out."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Output(NamedTuple):
    """Scores of the slots, whatever they hold, and how many present stocks each expert got; load_E is empty without experts."""

    score_SNH: Tensor
    load_E: Tensor


class Body(nn.Module, ABC):
    """A network over windows of a panel.  Its weights are float32; what it computes in is its caller's choice (autocast)."""

    def __init__(self, horizons: int) -> None:
        super().__init__()
        self.horizons = horizons

    @abstractmethod
    def forward(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Output:
        """Scores of the windows that these rows of the panel make.

        x_QF: the inputs of a row; row 0 says nothing.  row_SNT int64: the rows of each slot's window, 0 where the stock was absent; a slot
        whose last row is 0 holds no stock.  m_SM: the market of each session.
        """

    def rebalance(self, load_E: Tensor, step: float) -> None:
        """Move whatever is balanced by load instead of a gradient, after a step."""
