"""What the checks of this folder share: inputs from a seed, and the comparison of kernels with the reference in float64."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

FARTHEST = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 6e-3}  # relative norm of an error
Op = Callable[..., Tensor]


class Draw:
    """Random shapes, masks and numbers of one case."""

    def __init__(self, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.dtype = (torch.float64, torch.float32, torch.float16)[seed % 3]

    def size(self, least: int, most: int) -> int:
        return int(torch.randint(least, most + 1, (), generator=self.random))

    def some(self, *choices: int) -> int:
        return choices[self.size(0, len(choices) - 1)]

    def normal(self, *shape: int) -> Tensor:
        """Not contiguous in every second case."""
        made = torch.randn(shape, generator=self.random, dtype=torch.float64).to(self.dtype)
        return made.transpose(0, -1).contiguous().transpose(0, -1) if self.size(0, 1) else made

    def mask(self, *shape: int) -> Tensor:
        """Often some, at times none or all."""
        return torch.rand(shape, generator=self.random) < self.some(0, 1, 6, 6, 9, 10) / 10


def results(op: Op, inputs: Sequence[Tensor], dout: Tensor | None) -> list[Tensor]:
    """The operation's answer, and its gradients where dout is given."""
    leaves = [one.detach().clone(memory_format=torch.preserve_format).requires_grad_(dout is not None) for one in inputs]
    out = op(*leaves)
    if dout is None:
        return [out]
    torch.autograd.backward(out, dout.to(out.dtype))
    return [out.detach(), *(leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves)]


def agree(op: Op, inputs: Sequence[Tensor], *, learns: bool = True, twice: bool = False) -> None:
    """Kernels against the reference in float64, forward and backward; what they don't write would be NaN.  op(*inputs, path=...)."""
    wide = [one.double() for one in inputs]
    shape = op(*wide, path="ref").shape
    dout = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(inputs[0].dtype) if learns else None
    expected = results(lambda *leaves: op(*leaves, path="ref"), wide, None if dout is None else dout.double())
    torch.use_deterministic_algorithms(True)  # fills fresh memory with NaN
    try:
        found = [results(lambda *leaves: op(*leaves, path="triton"), inputs, dout) for _ in range(2 if twice else 1)]
    finally:
        torch.use_deterministic_algorithms(False)
    for ours, theirs in zip(found[0], expected, strict=True):
        assert ours.isfinite().all()
        # Some gradients are 0 but for rounding, such as a query's that has one key.
        error = float((ours.double() - theirs).norm() / (theirs.norm() + 0.1 * theirs.numel() ** 0.5 + 1e-30))
        assert error < FARTHEST[inputs[0].dtype], f"{inputs[0].dtype}: relative error {error:.1e}"
    assert all(torch.equal(a, b) for one in found[1:] for a, b in zip(found[0], one, strict=True)), "two runs differ"
