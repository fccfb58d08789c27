"""The network: market gate, each stock over its own history, the stocks of a session over each other, experts, a head per horizon.

Dims: S sessions, N stocks of a session (padded), T lookback, F factors, G families, M gauges of the market, C channels (the width),
B channels of the bottleneck, A heads, E experts, K active experts, H horizons, R present stocks of all sessions.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from models.kernels.cross import cross_attention
from models.kernels.experts import moe_ffn
from models.kernels.routing import moe_route
from models.kernels.sublayer import Weights, latent_attention, time_sublayer
from models.kernels.windows import embed_windows, project


class Shape(Protocol):
    """What the network reads of RankerSettings.  Stated here, so that a bare GPU machine can build one without pydantic."""

    lookback: int
    width: int
    layers: int
    time_heads: int
    time_inner: int
    cross_layers: int
    experts: int
    active: int
    expert_width: int
    gate: float
    film: bool
    chained: bool
    dropout: float

    @property
    def cross_heads(self) -> int:
        """Heads over the stocks."""


class Output(NamedTuple):
    """Scores of the slots, whatever they hold, and how many present stocks each expert got."""

    score_SNH: Tensor
    load_E: Tensor


class MarketGate(nn.Module):
    """How much each factor counts in this market: F softmax((W m + b) / heat), 1 on average.  (MASTER, Li et al. 2024)"""

    def __init__(self, gauges: int, factors: int, heat: float) -> None:
        super().__init__()
        self.weigh = nn.Linear(gauges, factors)
        self.heat = heat

    def forward(self, m_SM: Tensor) -> Tensor:
        """m_SM -> gate_SF."""
        logit_SF = self.weigh(m_SM) / self.heat
        return logit_SF.shape[1] * logit_SF.softmax(-1)


class Embedding(nn.Module):
    """Gated factors and flags into the width."""

    def __init__(self, settings: Shape, factors: int, flags: int, gauges: int) -> None:
        super().__init__()
        self.gate = MarketGate(gauges, factors, settings.gate) if settings.gate else None
        self.flags = flags
        self.project = nn.Linear(factors + flags, settings.width)

    def forward(self, x_SNTF: Tensor, m_SM: Tensor) -> Tensor:
        """x_SNTF, m_SM -> h_SNTC."""
        return project(x_SNTF, self.weigh(m_SM), self.project.weight, self.project.bias)

    def windows(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Tensor:
        """The same of rows of a panel, whose windows are never held."""
        return embed_windows(x_QF, row_SNT, self.weigh(m_SM), self.project.weight, self.project.bias)

    def weigh(self, m_SM: Tensor) -> Tensor | None:
        """gate_SF; flags aren't weighed."""
        return None if self.gate is None else pad(self.gate(m_SM), (0, self.flags), value=1.0)


class SwiGLU(nn.Module):
    """Gate times value, then back to the width.  (Shazeer 2020)"""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        return self.down(silu(self.gate(x)) * self.up(x))


class LatentAttention(nn.Module):
    """Attention over time whose keys and values come through one bottleneck of a quarter of the width.  (DeepSeek-V2, 2024)"""

    def __init__(self, width: int, heads: int, lookback: int) -> None:
        super().__init__()
        latent = max(width // 4, 1)
        self.query = nn.Linear(width, width, bias=False)
        self.squeeze = nn.Sequential(nn.Linear(width, latent, bias=False), nn.RMSNorm(latent))
        self.key = nn.Linear(latent, width, bias=False)
        self.value = nn.Linear(latent, width, bias=False)
        self.bias_AL = nn.Parameter(torch.zeros(heads, 2 * lookback - 1))
        self.out = nn.Linear(width, width, bias=False)

    def weights(self, norm_C: Tensor) -> Weights:
        """All that it learns, after a norm of this scale."""
        squeeze_BC, latent_norm_B = self.squeeze.parameters()
        return Weights(norm_C, self.query.weight, squeeze_BC, latent_norm_B, self.key.weight, self.value.weight, self.bias_AL, self.out.weight)


class TimeBlock(nn.Module):
    """Each stock looks back over its own history."""

    def __init__(self, settings: Shape) -> None:
        super().__init__()
        width = settings.width
        self.norm, self.attention = nn.RMSNorm(width), LatentAttention(width, settings.time_heads, settings.lookback)
        self.inner_norm, self.inner = nn.RMSNorm(width), SwiGLU(width, settings.time_inner)

    def forward(self, h_RTC: Tensor, valid_RT: Tensor) -> Tensor:
        """[R, T, C] -> [R, T, C]."""
        h_RTC = time_sublayer(h_RTC, valid_RT, self.attention.weights(self.norm.weight))
        return h_RTC + self.inner(self.inner_norm(h_RTC))


class Pool(nn.Module):
    """A history becomes one state: the last session asks all of them."""

    def __init__(self, settings: Shape) -> None:
        super().__init__()
        self.norm, self.attention = nn.RMSNorm(settings.width), LatentAttention(settings.width, settings.time_heads, settings.lookback)

    def forward(self, h_RTC: Tensor, valid_RT: Tensor) -> Tensor:
        """[R, T, C] -> [R, C]."""
        return h_RTC[:, -1] + latent_attention(self.norm(h_RTC), valid_RT, self.attention.weights(self.norm.weight), 1)[:, 0]


class Film(nn.Module):
    """The market scales and shifts the stocks' states; at first not at all.  (FiLM, Perez et al. 2018)"""

    def __init__(self, gauges: int, width: int) -> None:
        super().__init__()
        self.shape = nn.Linear(gauges, 2 * width)
        nn.init.zeros_(self.shape.weight)
        nn.init.zeros_(self.shape.bias)

    def forward(self, h_SNC: Tensor, m_SM: Tensor) -> Tensor:
        """[S, N, C] -> [S, N, C]."""
        scale_S1C, shift_S1C = self.shape(m_SM)[:, None].chunk(2, dim=-1)
        return h_SNC * (1 + scale_S1C) + shift_S1C


class CrossBlock(nn.Module):
    """The stocks of a session look at each other; LayerScale keeps it a correction at first.  (Touvron et al. 2021)"""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.RMSNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.scale_C = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, h_SNC: Tensor, present_SN: Tensor) -> Tensor:
        """[S, N, C] -> [S, N, C]."""
        q, k, v = (one.unflatten(-1, (self.heads, -1)) for one in self.project(self.norm(h_SNC)).chunk(3, dim=-1))
        return h_SNC + self.scale_C * self.out(cross_attention(q, k, v, present_SN).flatten(-2))


class Experts(nn.Module):
    """One expert that every stock goes to, and routed ones of which each stock picks a few, by its state and the market's.  (DeepSeekMoE, 2024)"""

    bias_E: Tensor

    def __init__(self, settings: Shape, gauges: int) -> None:
        super().__init__()
        width, inner, count = settings.width, settings.expert_width, settings.experts
        self.active, self.count = settings.active, count
        self.norm, self.shared = nn.RMSNorm(width), SwiGLU(width, inner)
        if count:
            self.router, self.regime = nn.Linear(width, count, bias=False), nn.Linear(gauges, count, bias=False)
            self.gate_ECI, self.up_ECI = (nn.Parameter(torch.empty(count, width, inner).uniform_(-1, 1) / width**0.5) for _ in range(2))
            self.down_EIC = nn.Parameter(torch.empty(count, inner, width).uniform_(-1, 1) / inner**0.5)
        # Moved by the load after each step, not by a gradient; part of the weights, since it decides who is chosen.
        self.register_buffer("bias_E", torch.zeros(count))

    def forward(self, h_SNC: Tensor, m_SM: Tensor, present_SN: Tensor) -> tuple[Tensor, Tensor]:
        """(h_SNC, load_E); absent stocks go to no routed expert."""
        x_SNC = self.norm(h_SNC)
        out_SNC = h_SNC + self.shared(x_SNC)
        if not self.count:
            return out_SNC, self.bias_E
        logit_SNE = self.router(x_SNC) + self.regime(m_SM)[:, None]
        route = moe_route(logit_SNE.flatten(0, 1), self.bias_E, self.active, present_SN.flatten())
        y_RC = moe_ffn(x_SNC.flatten(0, 1), self.gate_ECI, self.up_ECI, self.down_EIC, route)
        return out_SNC + y_RC.view_as(out_SNC), route.counts_E

    @torch.no_grad()
    def rebalance(self, load_E: Tensor, step: float) -> None:
        """Make the busy a little less likely and the idle a little more, so that no loss has to.  (Wang et al. 2024)"""
        load = load_E.to(self.bias_E.dtype)
        self.bias_E += step * (load.mean() - load).sign()


class Heads(nn.Module):
    """A score per horizon; chained, each head starts from the state of the one before, as multi-token prediction does.  (DeepSeek-V3, 2024)"""

    def __init__(self, width: int, horizons: int, chained: bool) -> None:
        super().__init__()
        self.chained, self.count = chained, horizons
        self.norm = nn.RMSNorm(width)
        self.mix = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(horizons))
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(horizons))
        self.score = nn.ModuleList(nn.Linear(width, 1) for _ in range(horizons))

    def forward(self, h_SNC: Tensor) -> Tensor:
        """h_SNC -> score_SNH."""
        trunk = state = self.norm(h_SNC)
        scores = []
        for mix, norm, score in zip(self.mix, self.norms, self.score, strict=True):
            found = norm(trunk + silu(mix(torch.cat([trunk, state], dim=-1))))
            scores.append(score(found))
            state = found if self.chained else trunk
        return torch.cat(scores, dim=-1)


class Network(nn.Module):
    """Scores every stock of some sessions.  Permuting stocks permutes scores, and an absent one changes nobody's."""

    def __init__(self, settings: Shape, *, factors: int, flags: int, gauges: int, horizons: int) -> None:
        super().__init__()
        self.embed = Embedding(settings, factors, flags, gauges)
        self.over_time = nn.ModuleList(TimeBlock(settings) for _ in range(settings.layers))
        self.pool = Pool(settings)
        self.dropout = nn.Dropout(settings.dropout)
        self.film = Film(gauges, settings.width) if settings.film else None
        self.over_stocks = nn.ModuleList(CrossBlock(settings.width, settings.cross_heads) for _ in range(settings.cross_layers))
        self.experts = Experts(settings, gauges)
        self.heads = Heads(settings.width, horizons, settings.chained)

    def forward(self, x_SNTF: Tensor, valid_SNT: Tensor, m_SM: Tensor) -> Output:
        """x_SNTF: F factors, then G flags.  valid_SNT: bool, when a stock was present; absent in the last session, it is no stock."""
        return self._scored(self.embed(x_SNTF, m_SM), valid_SNT, m_SM)

    def over_panel(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Output:
        """The same of windows as rows of a panel, where row 0 says absent (`Panel`): what a GPU holds instead of the windows."""
        return self._scored(self.embed.windows(x_QF, row_SNT, m_SM), row_SNT > 0, m_SM)

    def _scored(self, h_SNTC: Tensor, valid_SNT: Tensor, m_SM: Tensor) -> Output:
        present_SN = valid_SNT[..., -1]
        h_RTC, valid_RT = h_SNTC.flatten(0, 1), valid_SNT.flatten(0, 1)
        for block in self.over_time:
            h_RTC = block(h_RTC, valid_RT)
        h_SNC = self.dropout(self.pool(h_RTC, valid_RT)).unflatten(0, present_SN.shape)
        if self.film is not None:
            h_SNC = self.film(h_SNC, m_SM)
        for block in self.over_stocks:
            h_SNC = block(h_SNC, present_SN)
        h_SNC, load_E = self.experts(h_SNC, m_SM, present_SN)
        return Output(self.heads(self.dropout(h_SNC)), load_E)
