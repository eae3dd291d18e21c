"""kohya's sd-scripts with LyCORIS, which make their modules anew from a file: to train on, to merge, to draw.

Of a file of plain LoRA sd-scripts' own network takes attention, feed-forward and resnet modules. Any other file is for
LyCORIS, which stops at a module without an alpha, at a bias or a norm's bias alone, at IA³, at a magnitude per input
and at embeddings; each stops the whole file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipelines.formats._names import ModuleNames, Place, text_path
from pipelines.readers import _rules as rules
from pipelines.readers._reader import Leaves, Reader, Taken

if TYPE_CHECKING:
    from torch import Tensor, nn

_ENDS = rules.LORA_ENDS | rules.LOHA_ENDS | rules.LOKR_ENDS | rules.FULL_ENDS | {"dora_scale", "weight", "on_input"}
_TARGETS = ("attentions", "resnets", "downsamplers", "upsamplers", "self_attn", "mlp")
_ROOTS = {"text_encoder": ("lora_te", "lora_te1"), "text_encoder_2": ("lora_te2", "lora_te2")}


def _spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    has_two = "text_encoder_2" in names.parts
    if place.part in _ROOTS:
        yield f"{_ROOTS[place.part][has_two]}_{text_path(place.path).replace('.', '_')}"
        return
    path = names.known_original(place.path) if has_two else place.path
    if path is not None:
        yield f"lora_unet_{path.replace('.', '_')}"


def _refuse(groups: Mapping[Place, Leaves], unread: Sequence[str]) -> str:
    if all(own.keys() <= rules.LORA_ENDS for own in groups.values()):
        return ""
    for place, own in groups.items():
        reason = _oddity(place, own)
        if reason:
            return f"it stops at {reason} ({place.part}/{place.path})"
    return ""


def _oddity(place: Place, own: Leaves) -> str:
    kind = rules.product_kind(own)
    if kind is not None and "alpha" not in own:
        return "a module without an alpha"
    if kind is not None:
        scale = own.get("dora_scale")
        return "a magnitude per input" if scale is not None and scale.shape[0] == 1 else ""
    if "on_input" in own:
        return "IA³"
    if "embedding" in place.path.rpartition(".")[2]:
        return "an embedding"
    return "" if "diff" in own or "w_norm" in own else f"a module with {', '.join(sorted(own))} alone"


def _take(leaves: Leaves, place: Place, host: nn.Module) -> Taken | None:
    weight = host._parameters["weight"]
    assert weight is not None
    if rules.product_kind(leaves):
        scale = leaves.get("dora_scale")
        if scale is None:
            return rules.taken_product(leaves, weight)
        return rules.with_magnitude(leaves, scale, _over_the_sum)
    full, bias = ("diff", "diff_b") if "diff" in leaves else ("w_norm", "b_norm")
    return Taken(rules.added(leaves[full]), leaves.get(bias))


def _over_the_sum(base: Tensor, total: Tensor) -> Tensor:
    return rules.row_norm(total) + rules.FLOAT32_STEP


def _needs(taken: Mapping[Place, Taken], names: ModuleNames) -> Mapping[Place, Taken]:
    """Drop what sd-scripts' own network makes no module for."""
    if any(own.plain is None for own in taken.values()):
        return taken
    return {place: own for place, own in taken.items() if any(f".{kind}." in place.path for kind in _TARGETS)}


READER = Reader(
    name="kohya",
    title="kohya's scripts with LyCORIS",
    version="KohakuBlueleaf/LyCORIS at f49d30d, kohya-ss/sd-scripts at 48d368fa",
    formats=("kohya",),
    kinds={"kohya": frozenset({"lora", "dora", "loha", "lokr", "full"})},
    spellings=_spellings,
    ends=_ENDS,
    take=_take,
    refuse=_refuse,
    bias_alone=False,
    needs_alpha=True,
    needs=_needs,
)
