"""The parts of the network, each a class that reads like its paper.

Dims: S sessions, N stocks of a session (padded), T lookback, F factors, G families, M gauges of the market, C channels (the width),
B channels of the bottleneck, A heads, I inducing points, E experts, H horizons, R present stocks of all sessions, Q rows of the panel,
P tilts of the market, K = 1 + P.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, silu

from models.kernels.cross import cross_attention
from models.kernels.experts import moe_ffn
from models.kernels.routing import moe_route
from models.kernels.sublayer import Weights, latent_attention, time_sublayer
from models.kernels.windows import embed_windows

TILTS = 8  # directions of the market that move the straight way's weights
EXTREME = 3.0  # deviations beyond which such a direction is extreme and no more


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
    straight: bool
    dropout: float

    @property
    def cross_heads(self) -> int:
        """Heads over the stocks."""

    @property
    def points(self) -> int:
        """Inducing points; 0: stocks look at each other directly."""

    @property
    def learns_routes(self) -> bool:
        """Whether the router learns, or stays as chance made it."""


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

    def forward(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Tensor:
        """x_QF, row_SNT, m_SM -> h_SNTC."""
        return embed_windows(x_QF, row_SNT, self.weigh(m_SM), self.project.weight, self.project.bias)

    def weigh(self, m_SM: Tensor) -> Tensor | None:
        """gate_SF; flags aren't weighed."""
        return None if self.gate is None else pad(self.gate(m_SM), (0, self.flags), value=1.0)


class Straight(nn.Module):
    """A linear opinion on today's factors whose weights the market moves.  Solved by `straight.solve`, not learnt by steps; 0 until then."""

    weights_KF: Tensor
    centre_M: Tensor
    tilt_MP: Tensor

    def __init__(self, factors: int, gauges: int) -> None:
        super().__init__()
        tilts = min(TILTS, gauges)
        self.register_buffer("weights_KF", torch.zeros(1 + tilts, factors))
        self.register_buffer("centre_M", torch.zeros(gauges))
        self.register_buffer("tilt_MP", torch.zeros(gauges, tilts))

    def forward(self, x_QF: Tensor, row_SNT: Tensor, m_SM: Tensor) -> Tensor:
        """x_QF, row_SNT, m_SM -> score_SN; flags beside the factors aren't read."""
        with torch.autocast(x_QF.device.type, enabled=False):  # a sum of many small opinions isn't for 16 bits
            weights_SF = self.market(m_SM) @ self.weights_KF
            return torch.einsum("snf,sf->sn", x_QF[row_SNT[..., -1], : weights_SF.shape[1]], weights_SF)

    def market(self, m_SM: Tensor) -> Tensor:
        """[S, K]: 1, then how far the market is in each direction, in deviations of the training sessions."""
        tilt_SP = ((m_SM - self.centre_M) @ self.tilt_MP).clamp(-EXTREME, EXTREME)
        return torch.cat([torch.ones_like(tilt_SP[:, :1]), tilt_SP], dim=1)


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


class InducedBlock(nn.Module):
    """The stocks of a session look at each other through a few learnt points: N I pairs instead of N^2.  (Set Transformer, Lee et al. 2019)"""

    def __init__(self, width: int, heads: int, points: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.RMSNorm(width)
        self.points_IC = nn.Parameter(torch.randn(points, width) / width**0.5)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.gathered = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 2 * width, bias=False))
        self.out = nn.Linear(width, width, bias=False)
        self.scale_C = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, h_SNC: Tensor, present_SN: Tensor) -> Tensor:
        """[S, N, C] -> [S, N, C]."""
        query_SNC, key_SNC, value_SNC = self.project(self.norm(h_SNC)).chunk(3, dim=-1)
        points_SIC = self.points_IC.to(key_SNC.dtype).expand(len(h_SNC), -1, -1)
        seen_SIC = self._attend(points_SIC, key_SNC, value_SNC, present_SN[:, None, None, :])
        key_SIC, value_SIC = self.gathered(seen_SIC).chunk(2, dim=-1)
        return h_SNC + self.scale_C * self.out(self._attend(query_SNC, key_SIC, value_SIC, None))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, kept: Tensor | None) -> Tensor:
        q, k, v = (one.reshape(*one.shape[:2], self.heads, -1).transpose(1, 2) for one in (query, key, value))
        return scaled_dot_product_attention(q, k, v, attn_mask=kept).transpose(1, 2).flatten(-2)


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
            for part in (self.router, self.regime):
                part.requires_grad_(settings.learns_routes)
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
        with torch.autocast(h_SNC.device.type, enabled=False):  # a choice of experts isn't for 16 bits
            logit_SNE = self.router(x_SNC.float() if x_SNC.element_size() < 4 else x_SNC) + self.regime(m_SM)[:, None]
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
