"""Textual inversion: a new word, learned; every weight of the base stays frozen.

v* = argmin of the training loss over v, the embedding that the word <name> has in prompts; with several vectors the
word stands for that many tokens in a row. Source: Gal et al. 2022, arXiv 2208.01618, equation 2. A text encoder is
needed, because only it reads words. Prompts that do not hold the word are the base's own, bit for bit.

In files the vectors are [n, d] under ``…token_embedding.sidecar_textual_inversion.beside.vectors``: what diffusers
calls ``<name>`` in a learned-embeddings file, and AUTOMATIC1111 ``emb_params``.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from trainers.errors import UserError
from trainers.methods import _peft_bridge as bridge
from trainers.methods._method import Fresh, Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._sidecar import Live, Sidecar, SidecarKind, Uninstall, register

_NO_WORDS = "it reads no words: a new one has no place in it"


class TextualInversionSettings(MethodSettings):
    """Settings of textual inversion."""

    word: str = Field(
        "new",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,38}$",
        description="Name of the new word; captions and prompts call it <name>, with the brackets.",
    )
    vectors: int = Field(4, ge=1, le=64, description="Number of vectors; they take as many places in a prompt.")
    start: str = Field(
        "",
        max_length=200,
        description="Known words whose embeddings it begins with, such as 'ink drawing'; empty: the mean of all words.",
    )


def _config(settings: TextualInversionSettings, resolve: ResolveTargets) -> Any:
    kept = {"word": settings.word, "vectors": settings.vectors}
    return register(KIND)(target_modules=["token_embedding"], settings=kept)


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    if not isinstance(host, nn.Embedding) or not isinstance(settings["word"], str):
        raise ValueError(f"A new word needs a table of embeddings and a name, not {type(host).__name__}.")
    words = host.weight.detach().float()
    apart = 0.1 * words.std() * torch.randn(settings["vectors"], words.shape[1]).to(words.device)
    vectors = words.mean(dim=0) + apart
    return {"vectors": vectors, "start": vectors.clone()}


def _begin(fresh: Fresh) -> None:
    """Put the embeddings of the known words in place; their tokens repeat until all vectors have one."""
    text, count = fresh.settings.start, fresh.settings.vectors
    if not text:
        return
    numbers = fresh.word_numbers(text)
    if not 0 < len(numbers) <= count:
        raise UserError(
            f"Textual inversion cannot begin with {text!r}: that is {len(numbers)} tokens, and there are {count} "
            f"vectors. Give vectors={max(1, len(numbers))}, or other words."
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


def _trigger(settings: TextualInversionSettings) -> str:
    return f"<{settings.word}>"


KIND = SidecarKind(bridge.NEW_WORDS, _fresh, install=_install, frozen=lambda name: name == "start")
register(KIND)

METHOD = Method(
    name="textual_inversion",
    title="Textual inversion",
    source="Gal et al. 2022, arXiv 2208.01618, eq. 2",
    settings=TextualInversionSettings,
    recommended={"text_encoder": Recommendation(1.5e-4)},
    peft_config=_config,
    mergeable=False,
    live_weight=(
        "the word stands w of the way from the words it began with to the learned ones; at 0 it is no word, and the "
        "prompt is read letter by letter as the base reads it"
    ),
    needs_studio=True,
    starts_changed="the word is read as one from the first step, and no longer letter by letter",
    prepare=_begin,
    trigger=_trigger,
    lacks={"unet": _NO_WORDS, "language_model": "prompt tuning is the same there: learned tokens before the words"},
)
