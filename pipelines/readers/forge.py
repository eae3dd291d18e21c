"""Forge: ComfyUI's loader of 2024 with ComfyUI's later magnitude, and a limit on what it may not know.

A file of which more than 12 keys find no place is dropped whole. It reads no IA³, OFT or BOFT, and of ComfyUI's own
names those of the UNet alone.
"""

from collections.abc import Iterator, Mapping, Sequence

from pipelines.formats._names import ModuleNames, Place
from pipelines.readers import _comfy
from pipelines.readers._reader import BASE, Leaves, Reader

_MOST_UNREAD = 12


def _spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    yield from _comfy.spellings(place, names)
    if place == Place("text_encoder_2", "text_projection"):
        yield "text_encoder.text_projection"


def _refuse(groups: Mapping[Place, Leaves], unread: Sequence[str]) -> str:
    if len(unread) <= _MOST_UNREAD:
        return ""
    return f"it drops a file with more than {_MOST_UNREAD} keys that it does not know, and this one has {len(unread)}"


READER = Reader(
    name="forge",
    title="Forge",
    version="lllyasviel/stable-diffusion-webui-forge at dfdcbab6",
    formats=("kohya", "comfyui", "diffusers"),
    kinds={
        "kohya": _comfy.KINDS,
        "comfyui": _comfy.KINDS,
        "diffusers": frozenset({"lora"}),
    },
    spellings=_spellings,
    ends=_comfy.ENDS,
    take=_comfy.take,
    magnitude=BASE,
    refuse=_refuse,
    words=frozenset({"both"}),
)
