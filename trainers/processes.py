"""The processes that train one adapter together, each with the whole base on its own device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # runs are asked and shown where torch is not wanted
    from torch import Tensor, nn


@dataclass(frozen=True)
class Processes:
    """How many there are, and which one this is. With more than one, torch's process group must have been joined."""

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def mean_gradients(self, parameters: "Sequence[nn.Parameter]", loss: float) -> float:
        """Put the mean over all processes in place of every gradient, bit-equal everywhere; return the mean loss.

        Adapters are small: averaging their gradients by hand, as one piece, spares wrapping the base for distribution.
        A parameter without a gradient here may have one elsewhere; where none has, it stays without.
        """
        if self.count == 1:
            return loss
        import torch
        from torch import distributed

        device = parameters[0].device
        there = [parameter.grad is not None for parameter in parameters]
        pieces = [torch.tensor([loss, *there], device=device, dtype=torch.float32)]
        pieces += [(torch.zeros_like(p) if p.grad is None else p.grad).float().flatten() for p in parameters]
        whole = torch.cat(pieces)
        distributed.all_reduce(whole)
        whole /= self.count
        facts, *means = whole.split([len(piece) for piece in pieces])
        for parameter, mean, share in zip(parameters, means, facts[1:].tolist(), strict=True):
            parameter.grad = mean.view_as(parameter).to(parameter.dtype) if share > 0 else None
        return float(facts[0])

    def mean_values(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the means of what every process measured under the same names."""
        if self.count == 1 or not values:
            return dict(values)
        from torch import distributed

        gathered: list[dict[str, float]] = [{} for _ in range(self.count)]
        distributed.all_gather_object(gathered, values)
        return {name: sum(one[name] for one in gathered) / self.count for name in values}

    def take_from_main(self, tensors: "Sequence[Tensor]") -> None:
        """Put the main process's values into tensors everywhere: other devices may draw other random numbers."""
        if self.count == 1:
            return
        from torch import distributed

        for tensor in tensors:
            distributed.broadcast(tensor, src=0)


ALONE = Processes()
