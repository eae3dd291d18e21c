"""DeLoRA's layer with its factors normed before they multiply, so that no product leaves float16.

PEFT divides between the two products by ‖aᵢ‖ ‖bᵢ‖, which begins at 1e-4: 15 / 1e-4 is more than float16 holds, and
infinity times the zeros of B is not a number. The formula is the same (Bini et al. 2025, arXiv 2503.18225, equation 6).
"""

from typing import Any

from peft.tuners.delora.layer import DeloraLinear
from torch import Tensor, nn
from torch.nn import functional

_SMALLEST_NORM = 1e-4
"""As in PEFT's own forward and in its merging."""


class NormedDelora(DeloraLinear):
    """PEFT's layer but for the order of its products."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return output.to(x.dtype)
        for name in self.active_adapters:
            if name not in self.delora_A:
                continue
            down, up = self.delora_A[name], self.delora_B[name]
            down = down / down.norm(dim=1, keepdim=True).clamp(min=_SMALLEST_NORM)
            up = up / up.norm(dim=0, keepdim=True).clamp(min=_SMALLEST_NORM)
            inner = functional.linear(self.delora_dropout[name](x) * self.delora_w_norm[name], down)
            change = functional.linear(inner * (self.delora_lambda[name] / self.r[name]), up)
            output = output + change.to(output.dtype)
        return output.to(x.dtype)


def norm_first(layer: nn.Module) -> None:
    """Let one of PEFT's DeLoRA layers compute in this order; other layers stay as they are."""
    if type(layer) is DeloraLinear:
        layer.__class__ = NormedDelora
