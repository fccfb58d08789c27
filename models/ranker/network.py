"""The ranker's network: market gate, each stock over its own history, the stocks of a session over each other, experts, a head per horizon.

Dims: S sessions, N stocks of a session (padded), T lookback, F factors, G families, M gauges of the market, C channels (the width),
B channels of the bottleneck, A heads, I inducing points, E experts, K active experts, H horizons, R present stocks of all sessions,
Q rows of the panel.
"""

from torch import Tensor, nn

from models.ranker.body import Body, Output
from models.ranker.parts import CrossBlock, Embedding, Experts, Film, Heads, InducedBlock, Pool, Shape, Straight, TimeBlock


class Network(Body):
    """Scores every stock of some sessions.  Permuting stocks permutes scores, and an absent one changes nobody's."""

    def __init__(self, settings: Shape, *, factors: int, flags: int, gauges: int, horizons: int) -> None:
        super().__init__(horizons, Straight(factors, gauges) if settings.straight else None)
        self.embed = Embedding(settings, factors, flags, gauges)
        self.over_time = nn.ModuleList(TimeBlock(settings) for _ in range(settings.layers))
        self.pool = Pool(settings)
        self.dropout = nn.Dropout(settings.dropout)
        self.film = Film(gauges, settings.width) if settings.film else None
        self.over_stocks = nn.ModuleList(_across(settings) for _ in range(settings.cross_layers))
        self.experts = Experts(settings, gauges)
        self.heads = Heads(settings.width, horizons, settings.chained)

    def forward(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Output:
        """As `Body` says."""
        present_SN, valid_RT = row_SNT[..., -1] > 0, row_SNT.flatten(0, 1) > 0
        h_RTC = self.embed(x_QF, row_SNT, m_SM).flatten(0, 1)
        for block in self.over_time:
            h_RTC = block(h_RTC, valid_RT)
        h_SNC = self.dropout(self.pool(h_RTC, valid_RT)).unflatten(0, present_SN.shape)
        if self.film is not None:
            h_SNC = self.film(h_SNC, m_SM)
        for block in self.over_stocks:
            h_SNC = block(h_SNC, present_SN)
        h_SNC, load_E = self.experts(h_SNC, m_SM, present_SN)
        return Output(self.heads(self.dropout(h_SNC)), load_E)

    def rebalance(self, load_E: Tensor, step: float) -> None:
        """Move the routing bias against the load."""
        self.experts.rebalance(load_E, step)


def _across(settings: Shape) -> nn.Module:
    if settings.points:
        return InducedBlock(settings.width, settings.cross_heads, settings.points)
    return CrossBlock(settings.width, settings.cross_heads)
