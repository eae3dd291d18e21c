"""The tuner layer of textual inversion: vectors of new words beside the text encoder's table of embeddings."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainers.errors import UserError
from trainers.method import Fresh
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.sidecar import Live, Sidecar, SidecarKind, Uninstall
from trainers.wording import count_of


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    if not isinstance(host, nn.Embedding) or not isinstance(settings["word"], str):
        raise ValueError(f"A new word needs a table of embeddings and a name, not {type(host).__name__}.")
    words = host.weight.detach().float()
    apart = 0.1 * words.std() * torch.randn(settings["vectors"], words.shape[1]).to(words.device)
    vectors = words.mean(dim=0) + apart
    return {"vectors": vectors, "start": vectors.clone()}


def begin(fresh: Fresh) -> None:
    """Put the embeddings of the known words in place; their tokens repeat until all vectors have one."""
    text, count = fresh.settings.start, fresh.settings.vectors
    if not text:
        return
    numbers = fresh.token_ids(text)
    if not 0 < len(numbers) <= count:
        raise UserError(
            f"Textual inversion cannot begin with {text!r}: that is {count_of(len(numbers), 'token')}, and vectors is "
            f"{count}. Give vectors={max(1, len(numbers))}, or other words."
        )
    own = bridge.adapter_parameters(fresh.module, fresh.adapter)
    (place,) = [path.rpartition(".")[0] for path in own if path.endswith(".vectors")]
    table: Any = fresh.module.get_submodule(place.partition(".sidecar_")[0])
    repeated = torch.tensor([numbers[index % len(numbers)] for index in range(count)])
    for name in ("vectors", "start"):
        own[f"{place}.{name}"].data.copy_(table.weight.detach()[repeated.to(table.weight.device)])


def _weighed(live: Live) -> Tensor:
    """Return the vectors at their weight: w of the way from where they began."""
    learned, start = live.parameters["vectors"], live.parameters["start"]
    return learned if live.weight == 1 else start + live.weight * (learned - start)


def _install(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    """Look negative numbers up among the vectors of the active adapters: −1 is the first, see `bridge.new_words`."""
    wanted: list[Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> Any:
        wanted.clear()
        if not sidecar.live() or not (args[0] < 0).any():
            return None
        wanted.append(args[0])
        return (args[0].clamp(min=0),)

    def after(_: nn.Module, __: Any, output: Tensor) -> Tensor | None:
        live = sidecar.live()
        if wanted:
            ids = wanted.pop()
            vectors = torch.cat([_weighed(adapter) for adapter in live]).to(output.dtype)
            return torch.where((ids < 0).unsqueeze(-1), vectors[(-1 - ids).clamp(min=0)], output)
        if live and sidecar.training and torch.is_grad_enabled():
            # A batch without the word, such as one of dropped captions, has a gradient of 0, not none.
            return output + 0 * torch.stack([adapter.parameters["vectors"].sum() for adapter in live]).sum()
        return None

    handles = [host.register_forward_pre_hook(before), host.register_forward_hook(after)]
    return lambda: [handle.remove() for handle in handles].clear()


KIND = SidecarKind(bridge.NEW_WORDS, _fresh, install=_install, frozen=lambda name: name == "start")
