"""What the network reads of a dataset: inputs of every present stock once, and the windows of a batch gathered from them.

Dims: D sessions of the dataset, N stocks of the dataset or slots of a batch, S sessions of a batch, T lookback, F inputs, G factor
families, M gauges of the market, Q rows (a present stock in a session), L = D + T - 1.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from data.progress import Track, silent
from factors.ranks import prepare
from models.dataset import Dataset, Floats32, Sessions
from models.ranker.market import Gauges


@dataclass(frozen=True)
class Batch:
    """Some sessions side by side, padded to the largest of them."""

    row_SNT: Tensor  # int64: the panel's rows; 0 where the stock was absent, and in its last session where the slot holds no stock at all
    m_SM: Tensor
    stock_SN: Tensor  # int64: positions on the dataset's axes, 0 in empty slots; stays on the CPU


@dataclass(frozen=True)
class Panel:
    """Rows of prepared inputs, and which row each stock has in each session.  Windows overlap here without being held twice.

    The inputs may lie on a GPU, and windows are gathered there; what says which rows they are stays on the CPU.
    """

    x_QF: Tensor  # row 0 is nothing at all
    row_LN: Tensor  # int64: row of each stock; 0 where absent.  T - 1 empty sessions come first, so that session d's window is d … d + T - 1
    m_DM: Tensor
    lookback: int

    def to(self, device: str) -> "Panel":
        """The same with its inputs on a device."""
        return replace(self, x_QF=self.x_QF.to(device))

    def count(self, session: int) -> int:
        """Stocks present in a session."""
        return int((self.row_LN[session + self.lookback - 1] > 0).sum())

    def present(self, session: int) -> tuple[Tensor, Tensor]:
        """(row_N, stock_N) of the stocks present in a session: their rows, where the inputs are, and their positions on the dataset's axes."""
        row_N = self.row_LN[session + self.lookback - 1]
        stock_N = row_N.nonzero()[:, 0]
        return row_N[stock_N].to(self.x_QF.device), stock_N

    def batch(self, sessions: Sequence[int], *, slots: int = 0) -> Batch:
        """The windows that end with these sessions, for the stocks present in them, by symbol; at least that many slots each."""
        window_ST = torch.tensor(sessions)[:, None] + torch.arange(self.lookback)
        stocks = [self.row_LN[last].nonzero()[:, 0] for last in window_ST[:, -1].tolist()]
        stock_SN = torch.nn.utils.rnn.pad_sequence(stocks, batch_first=True)
        filled_SN = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in stocks], batch_first=True)
        missing = max(slots - stock_SN.shape[1], 0)
        stock_SN, filled_SN = (torch.nn.functional.pad(one, (0, missing)) for one in (stock_SN, filled_SN))
        row_SNT = self.row_LN[window_ST[:, None, :], stock_SN[:, :, None]] * filled_SN[:, :, None]
        m_SM = self.m_DM[window_ST[:, -1] - self.lookback + 1]
        return Batch(row_SNT.to(self.x_QF.device), m_SM.to(self.x_QF.device), stock_SN)

    def digest(self) -> str:
        """The sha256 of all that it holds."""
        total = hashlib.sha256()
        for tensor in (self.x_QF, self.row_LN, self.m_DM):
            total.update(tensor.cpu().numpy().tobytes())
        return total.hexdigest()


@dataclass(frozen=True)
class Inputs:
    """How a dataset becomes a panel: which factors, prepared how, of which families, beside which gauges."""

    names: tuple[str, ...]
    families: tuple[str, ...]  # of each factor
    how: Literal["z_score", "rank_gauss"]
    lookback: int
    gauges: Gauges

    @property
    def flags(self) -> int:
        """Families: each has one input that says which share of its factors is missing."""
        return len(set(self.families))

    def panel(self, dataset: Dataset, sessions: Sessions, *, track: Track = silent) -> Panel:
        """The panel for windows that end with these sessions; raises KestrelError for factors that the dataset lacks."""
        columns = dataset.columns(self.names)
        needed = np.unique(sessions[:, None] - np.arange(self.lookback))
        needed = needed[needed >= 0]
        where = dataset.present_DN[needed]
        row_LN = np.zeros((len(dataset.axes.dates) + self.lookback - 1, where.shape[1]), dtype=np.int64)
        block = row_LN[needed + self.lookback - 1]
        block[where] = np.arange(1, where.sum() + 1)
        row_LN[needed + self.lookback - 1] = block
        member_GF = np.array([[family == one for one in self.families] for family in sorted(set(self.families))], dtype=np.float32)
        x_QF = np.zeros((1 + int(where.sum()), len(self.names) + self.flags), dtype=np.float32)
        begin = 1
        for session in track(needed.tolist(), "ranker: inputs"):
            x_NF = prepare(dataset.session(session, columns), self.how)
            x_QF[begin : begin + len(x_NF)] = _filled(x_NF, member_GF)
            begin += len(x_NF)
        m_DM = np.zeros((len(dataset.axes.dates), self.gauges.count), dtype=np.float32)
        m_DM[sessions] = self.gauges.read(dataset, sessions)
        return Panel(torch.from_numpy(x_QF), torch.from_numpy(row_LN), torch.from_numpy(m_DM), self.lookback)


def _filled(x_NF: Floats32, member_GF: Floats32) -> Floats32:
    """Inputs with 0, the middle of a session, where a factor is missing, and each family's share of missing ones beside them."""
    missing_NF = np.isnan(x_NF)
    # Counts are whole numbers, so these sums are exact in any order.
    share_NG = (missing_NF.astype(np.float32) @ member_GF.T) / member_GF.sum(axis=1)
    return np.concatenate([np.where(missing_NF, np.float32(0), x_NF), share_NG], axis=1)
