"""Plain networks on the ranker's inputs, labels and training, to hold it against: an MLP of today, a GRU and a Transformer over time.

Each reads the market beside the factors, scores each stock by itself, and has a linear head per horizon.
Dims: S sessions, N stocks of a session (padded), T lookback, C channels, M gauges, H horizons, R = S N slots.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from models.ranker.body import Body, Output
from models.ranker.parts import Shape


class Plain(Body):
    """Inputs and market into the width, something over time, heads."""

    def __init__(self, settings: Shape, *, factors: int, flags: int, gauges: int, horizons: int) -> None:
        super().__init__(horizons)
        self.embed = nn.Linear(factors + flags, settings.width)
        self.market = nn.Linear(gauges, settings.width, bias=False)
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = nn.Linear(settings.width, horizons)

    def forward(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Output:
        """As `Body` says."""
        h_SNTC = self.embed(x_QF[row_SNT]) + self.market(m_SM)[:, None, None]
        h_RC = self.over_time(h_SNTC.flatten(0, 1), row_SNT.flatten(0, 1) > 0)
        score_RH = self.heads(self.dropout(h_RC))
        return Output(score_RH.unflatten(0, row_SNT.shape[:2]), score_RH.new_zeros(0))

    @abstractmethod
    def over_time(self, h_RTC: Tensor, valid_RT: Tensor) -> Tensor:
        """[R, T, C] -> [R, C]."""


class Mlp(Plain):
    """Hidden layers over the last session's inputs."""

    def __init__(self, settings: Shape, *, factors: int, flags: int, gauges: int, horizons: int) -> None:
        super().__init__(settings, factors=factors, flags=flags, gauges=gauges, horizons=horizons)
        width = settings.width
        hidden = [[nn.LayerNorm(width), nn.SiLU(), nn.Dropout(settings.dropout), nn.Linear(width, width)] for _ in range(settings.layers)]
        self.hidden = nn.Sequential(*(part for layer in hidden for part in layer), nn.LayerNorm(width), nn.SiLU())

    def over_time(self, h_RTC: Tensor, valid_RT: Tensor) -> Tensor:
        """[R, T, C] -> [R, C]."""
        del valid_RT
        out_RC: Tensor = self.hidden(h_RTC[:, -1])
        return out_RC


class Gru(Plain):
    """The last state of a GRU; an absent session is one whose inputs are all in the middle.  (Cho et al. 2014)"""

    def __init__(self, settings: Shape, *, factors: int, flags: int, gauges: int, horizons: int) -> None:
        super().__init__(settings, factors=factors, flags=flags, gauges=gauges, horizons=horizons)
        between = settings.dropout if settings.layers > 1 else 0.0
        self.steps = nn.GRU(settings.width, settings.width, settings.layers, batch_first=True, dropout=between)

    def over_time(self, h_RTC: Tensor, valid_RT: Tensor) -> Tensor:
        """[R, T, C] -> [R, C]."""
        del valid_RT
        out_RC: Tensor = self.steps(h_RTC)[0][:, -1]
        return out_RC


class Transformer(Plain):
    """The textbook encoder with learnt positions; its last state is the stock's.  (Vaswani et al. 2017)"""

    def __init__(self, settings: Shape, *, factors: int, flags: int, gauges: int, horizons: int) -> None:
        super().__init__(settings, factors=factors, flags=flags, gauges=gauges, horizons=horizons)
        self.place_TC = nn.Parameter(0.02 * torch.randn(settings.lookback, settings.width))
        layer = nn.TransformerEncoderLayer(settings.width, settings.time_heads, settings.time_inner, settings.dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)

    def over_time(self, h_RTC: Tensor, valid_RT: Tensor) -> Tensor:
        """[R, T, C] -> [R, C]."""
        # An empty slot looks at its last session, or its softmax would be over nothing.
        last_T = torch.arange(valid_RT.shape[1], device=valid_RT.device) == valid_RT.shape[1] - 1
        out_RTC: Tensor = self.layers(h_RTC + self.place_TC, src_key_padding_mask=~(valid_RT | last_T))
        return out_RTC[:, -1]
