"""diffusers: its own LoRA file whole, of kohya's the LoRA alone and without magnitudes.

A kohya file with any other kind stops it, and so does a text encoder's attention without a single ``out_proj``, by
which it tells the spelling.
"""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from pipelines.formats._names import ModuleNames, Place, diffusers_name, text_path
from pipelines.readers import _rules as rules
from pipelines.readers._reader import Leaves, Reader, Taken
from trainers.wording import count_of

_OWN = {"lora_B.weight": "lora_up.weight", "lora_A.weight": "lora_down.weight"}
_MAGNITUDES = ("lora_magnitude_vector", "lora_magnitude_vector.weight")
_ENDS = frozenset({*rules.LORA_ENDS, *_OWN, *_MAGNITUDES, "dora_scale"})
_TEXT = ("text_encoder", "text_encoder_2")


def _spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    yield diffusers_name(place)
    if place.part in _TEXT:
        roots = ("lora_te2",) if place.part == "text_encoder_2" else ("lora_te", "lora_te1")
        yield from (f"{root}_{text_path(place.path).replace('.', '_')}" for root in roots)
        return
    path = names.known_original(place.path) if "text_encoder_2" in names.parts else place.path
    if path is not None:
        yield f"lora_unet_{path.replace('.', '_')}"


def _refuse(groups: Mapping[Place, Leaves], unread: Sequence[str]) -> str:
    other = [key for key in unread if not key.endswith(".dora_scale")]
    if other:
        return f"it stops at {count_of(len(other), 'key')} of other kinds than LoRA, such as {other[0]}"
    for part in _TEXT:
        attention = {
            place.path.rpartition(".")[2]
            for place, own in groups.items()
            if place.part == part and ".self_attn." in place.path and "lora_up.weight" in own
        }
        if attention and "out_proj" not in attention:
            return f"it stops at the {part}'s attention, because no out_proj is there"
    return ""


def _take(leaves: Leaves, place: Place, host: nn.Module) -> Taken | None:
    weight = host._parameters["weight"]
    assert weight is not None
    magnitude = next((leaves[end] for end in _MAGNITUDES if end in leaves), None)
    leaves = {_OWN.get(end, end): tensor for end, tensor in leaves.items()}
    if magnitude is None:
        return rules.taken_product(leaves, weight)
    row = magnitude.reshape(-1, *[1] * (weight.ndim - 1))
    return rules.with_magnitude(leaves, row, lambda base, total: rules.row_norm(total))


READER = Reader(
    name="diffusers",
    title="diffusers",
    version="0.42",
    formats=("diffusers", "kohya"),
    kinds={"diffusers": frozenset({"lora", "dora"}), "kohya": frozenset({"lora"})},
    spellings=_spellings,
    ends=_ENDS,
    take=_take,
    refuse=_refuse,
)
