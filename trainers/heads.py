"""A head: one linear layer on the state of the last token, for a reward or for classes; part of an adapter.

y = W·h + b, with h the last layer's state, after its norm, of the last token that is not padding. Like PEFT's
``modules_to_save`` it is saved whole. It has a file of its own, so that the delta beside it stays an ordinary adapter
that blends, merges and exports as ever; a blend of deltas has no head.
"""

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainers.errors import UserError

if TYPE_CHECKING:
    from trainers.data.chat import Encoded
    from trainers.data.token_batches import TokenBatch
    from trainers.protocols import LanguageModel

HEAD_NAME = "head.safetensors"


class Head(nn.Module):
    """A linear layer in float32, [width] -> [outputs]."""

    def __init__(self, width: int, outputs: int, *, seed: int, learning_rate: float = 1e-3, bias: bool = True) -> None:
        """Draw the weights from N(0, 1 / (width + 1)), Stiennon et al. 2020, arXiv 2009.01325, appendix B.1.

        Args:
            bias: whether there is one; a reward needs none, because only differences of rewards count.
        """
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(outputs, width, generator=generator) / (width + 1) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.learning_rate = learning_rate

    def forward(self, states: Tensor) -> Tensor:
        """[b, width] -> [b, outputs], in float32."""
        return nn.functional.linear(states.float(), self.weight, self.bias)

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of the weights, as they are saved."""
        return {name: value.detach().clone() for name, value in self.state_dict().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take saved weights.

        Raises:
            UserError: tensors are missing or left over, or a shape differs.
        """
        found = {name: tuple(value.shape) for name, value in tensors.items()}
        wanted = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        if found != wanted:
            raise UserError(f"The head does not fit: it holds {_shapes(found)}, and {_shapes(wanted)} is wanted.")
        self.load_state_dict(dict(tensors))


def head_from(tensors: Mapping[str, Tensor], width: int, outputs: int) -> Head:
    """Return a saved head, frozen.

    Args:
        width: of the base's states.

    Raises:
        UserError: it is of another width, or has another number of outputs.
    """
    head = Head(width, outputs, seed=0, bias="bias" in tensors)
    head.load(tensors)
    return head.requires_grad_(False).eval()


def head_problems(tensors: Mapping[str, Tensor], outputs: int) -> list[str]:
    """Return what is wrong with a head from elsewhere beside what is wrong with any tensor, as sentences."""
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or not tensors.keys() <= {"weight", "bias"}:
        return [f"it holds {', '.join(sorted(tensors)) or 'nothing'}; a weight, and perhaps a bias, is wanted"]
    if weight.ndim != 2 or len(weight) != outputs or (bias is not None and bias.shape != weight.shape[:1]):
        shapes = _shapes({name: tuple(value.shape) for name, value in tensors.items()})
        return [f"it holds {shapes}, and the card speaks of {outputs} outputs"]
    return []


def last_states(model: Any, batch: "TokenBatch") -> Tensor:
    """Return the state of the last token of every text [b, d]; the rows are padded on the right.

    The whole model runs, and not its trunk alone: methods that give it tokens of their own hang on the whole.
    """
    knows = "logits_to_keep" in inspect.signature(type(model).forward).parameters
    with _watching(model.base_model) as seen:
        model(**batch.arguments(), use_cache=False, **({"logits_to_keep": 1} if knows else {}))
    last = batch.mask.sum(1) - 1
    return seen[-1][torch.arange(len(last), device=last.device), last]


@contextlib.contextmanager
def _watching(trunk: nn.Module) -> Iterator[list[Tensor]]:
    """Keep the states that the trunk gives; the last call is the texts', an earlier one may be a prompt's."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        seen[:] = [output[0]]

    handle = trunk.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def _shapes(found: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in sorted(found.items())) or "nothing"


@torch.no_grad()
def head_outputs(role: "LanguageModel", head: Head, rows: "Sequence[Encoded]", *, batch_size: int = 16) -> Tensor:
    """Return what a head says of texts [n, outputs], on the CPU; the adapters that are on act."""
    from trainers.data.token_batches import pad_right

    found = []
    for start in range(0, len(rows), batch_size):
        batch = pad_right(rows[start : start + batch_size], role.tokenizer.pad_token_id).to(role.device)
        found.append(head(last_states(role.model, batch)).cpu())
    return torch.cat(found) if found else torch.empty(0, len(head.weight))
