"""ComfyUI: its own names reach every weight, kohya's only the UNet and six layers of each text block.

It reads no IA³. A magnitude per output it divides by the norm of W, where Liu et al. 2024 (arXiv 2402.09353, equation
5) and every trainer divide by that of W + ΔW; a change is proposed (Comfy-Org/ComfyUI#15458), not taken.
"""

from collections.abc import Iterator

from pipelines.formats._names import ModuleNames, Place, comfyui_name
from pipelines.readers import _comfy
from pipelines.readers._reader import BASE, Reader


def _spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    yield from _comfy.spellings(place, names)
    try:
        yield comfyui_name(place, names)
    except KeyError:
        return


READER = Reader(
    name="comfyui",
    title="ComfyUI",
    version="comfy/lora.py at ec93dcac, comfy/weight_adapter/base.py at 9c0cf36c",
    formats=("comfyui", "kohya", "diffusers"),
    kinds={
        "comfyui": _comfy.KINDS,
        "kohya": _comfy.KINDS,
        "diffusers": frozenset({"lora"}),
    },
    spellings=_spellings,
    ends=_comfy.ENDS,
    take=_comfy.take,
    magnitude=BASE,
)
