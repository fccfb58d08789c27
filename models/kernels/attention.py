"""Masked attention in plain torch, the mathematics that both attentions of the ranker share, in any type.

Dims: S sequences, T keys, Q queries, H heads, D numbers of a head.
"""

import torch
from torch import Tensor

FAR = -1e30  # not -inf: a row without any key would be -inf less -inf


def attend(q_SQHD: Tensor, k_STHD: Tensor, v_STHD: Tensor, valid_ST: Tensor, bias_HQT: Tensor | None) -> Tensor:
    """softmax(q k' / sqrt(D) + bias) v over the valid keys as o_SQHD; 0 for a sequence without any; logits and softmax in float32 at least.

    (Vaswani et al. 2017)
    """
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
