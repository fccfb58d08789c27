"""Attention over the sessions of one stock, and over the stocks of one session: the readable mathematics, in any type.

Dims: S sequences, T keys, Q queries, H heads, D numbers of a head, L = 2T - 1 distances, N stocks.
"""

import torch
from torch import Tensor

FAR = -1e30  # not -inf: a row without any key would be -inf less -inf


def temporal_attention(q_SQHD: Tensor, k_STHD: Tensor, v_STHD: Tensor, key_valid_ST: Tensor, rel_bias_HL: Tensor) -> Tensor:
    """o_SQHD: each stock looks back over its own history; the queries are the last Q of its T sessions.

    key_valid_ST: bool; a key that isn't valid changes nothing, and a sequence without any gives 0.  rel_bias_HL: added to the
    logit at distance key - query, from -(T - 1) to T - 1.  (Vaswani et al. 2017; the bias as in Shaw et al. 2018, per head)
    """
    queries, keys = q_SQHD.shape[1], k_STHD.shape[1]
    if queries > keys or rel_bias_HL.shape[1] != 2 * keys - 1:
        raise ValueError(f"{queries} queries on {keys} keys need a bias of {2 * keys - 1} distances, not {rel_bias_HL.shape[1]}")
    place_T = torch.arange(keys, device=q_SQHD.device)
    distance_QT = place_T[None, :] - place_T[keys - queries :, None] + keys - 1
    bias_HQT = rel_bias_HL.index_select(1, distance_QT.flatten()).view(-1, queries, keys)
    return _attend(q_SQHD, k_STHD, v_STHD, key_valid_ST, bias_HQT)


def cross_attention(q_SNHD: Tensor, k_SNHD: Tensor, v_SNHD: Tensor, present_SN: Tensor) -> Tensor:
    """o_SNHD: the stocks of a session look at each other, in no order.  present_SN: bool; a stock that is absent changes nobody's output."""
    return _attend(q_SNHD, k_SNHD, v_SNHD, present_SN, None)


def _attend(q_SQHD: Tensor, k_STHD: Tensor, v_STHD: Tensor, valid_ST: Tensor, bias_HQT: Tensor | None) -> Tensor:
    """softmax(q k' / sqrt(D) + bias) v over the valid keys; logits and softmax in float32 at least."""
    q_SHQD, k_SHDT, v_SHTD = q_SQHD.transpose(1, 2), k_STHD.permute(0, 2, 3, 1), v_STHD.transpose(1, 2)
    logit_SHQT = (q_SHQD * q_SQHD.shape[-1] ** -0.5) @ k_SHDT
    logit_SHQT = logit_SHQT.to(torch.promote_types(logit_SHQT.dtype, torch.float32))
    if bias_HQT is not None:
        logit_SHQT = logit_SHQT + bias_HQT
    # Adding so much leaves exactly FAR of any logit, and a weight of exactly 0 after the softmax.
    far_ST = torch.zeros_like(valid_ST, dtype=logit_SHQT.dtype).masked_fill(~valid_ST, FAR)
    weight_SHQT = (logit_SHQT + far_ST[:, None, None, :]).softmax(-1)
    o_SHQD = weight_SHQT.to(v_STHD.dtype) @ v_SHTD
    return (o_SHQD * valid_ST.any(1)[:, None, None, None]).transpose(1, 2)
