"""Blocks of a UNet by the names that users of lora-block-weight know, and weights by block.

IN00 is the first convolution, IN01 … the layers of the down blocks in order, M00 the middle, OUT00 … the up blocks;
BASE is the text encoder and whatever lies in no block. Each level of n layers takes n + 1 names, the last for the
change of size. The lists of 17, 26, 12 and 20 values are those of hako-mikan/sd-webui-lora-block-weight: 17 and 26 for
Stable Diffusion 1 and 2 (without and with the convolutions), 12 and 20 for SDXL.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from trainers.errors import UserError
from trainers.wording import listed

BASE_BLOCK = "BASE"


def _numbered(prefix: str, numbers: Iterable[int]) -> list[str]:
    return [f"{prefix}{number:02d}" for number in numbers]


LISTS: Mapping[int, tuple[str, ...]] = {
    17: (BASE_BLOCK, *_numbered("IN", (1, 2, 4, 5, 7, 8)), "M00", *_numbered("OUT", range(3, 12))),
    26: (BASE_BLOCK, *_numbered("IN", range(12)), "M00", *_numbered("OUT", range(12))),
    12: (BASE_BLOCK, *_numbered("IN", (4, 5, 7, 8)), "M00", *_numbered("OUT", range(6))),
    20: (BASE_BLOCK, *_numbered("IN", range(9)), "M00", *_numbered("OUT", range(9))),
}
_PLACE = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers|motion_modules)\.(\d+)")
_NAME = re.compile(r"BASE|M00|(IN|OUT)\d\d")
ALL_OTHERS = "default"


class Located(Protocol):
    """Anything that is said of one layer."""

    @property
    def part(self) -> str:
        """The part that the layer belongs to."""
        ...

    @property
    def layer(self) -> str:
        """The layer's path in the part."""
        ...


_Item = TypeVar("_Item", bound=Located)


def layers_per_block(paths: Iterable[str]) -> int:
    """Return how many layers a level has, from the paths of a UNet's layers; 2 where none says."""
    found = [_PLACE.search(path) for path in paths]
    numbers = [int(m[4]) for m in found if m and m[1] == "down" and m[3] in ("resnets", "attentions")]
    return max(numbers, default=1) + 1


def block_of(part: str, path: str, per_level: int = 2) -> str:
    """Return the name of the block that a layer lies in."""
    if part != "unet":
        return BASE_BLOCK
    if path.startswith("conv_in"):
        return "IN00"
    if path.startswith("mid_block"):
        return "M00"
    place = _PLACE.search(path)
    if place is None:
        return BASE_BLOCK
    side, level, kind, number = place[1], int(place[2]), place[3], int(place[4])
    within = per_level if kind.endswith("samplers") else number
    start = level * (per_level + 1) + within
    return f"IN{start + 1:02d}" if side == "down" else f"OUT{start:02d}"


def group_of(part: str, path: str) -> str:
    """Return the block of a layer as the base itself calls it, such as ``down_blocks.1`` or ``layers.3``."""
    found = re.match(r"(?:\w+\.)*?((?:down_blocks|up_blocks|layers|h)\.\d+|mid_block)(?:\.|$)", path)
    return found[1] if found else path.partition(".")[0]


def by_block(items: Iterable[_Item]) -> dict[str, list[_Item]]:
    """Group layers by the part and block that they lie in, in the order in which the blocks first appear."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(f"{item.part} {group_of(item.part, item.layer)}", []).append(item)
    return groups


def check_blocks(blocks: Sequence[float] | Mapping[str, float], *, what: str) -> None:
    """Refuse a list of another length than the known ones.

    Raises:
        UserError: with the lengths that are known.
    """
    if not isinstance(blocks, Mapping) and len(blocks) not in LISTS:
        raise UserError(
            f"{what} has {len(blocks)} block weights. 17 or 26 fit Stable Diffusion 1 and 2, 12 or 20 SDXL (without "
            "and with convolutions); or name blocks, such as IN05:0.5,down_blocks.1:0.2,default:1."
        )


def check_names(names: Iterable[str], layers: Iterable[tuple[str, str]], per_level: int, *, what: str) -> None:
    """Refuse names of blocks and beginnings of paths that fit no layer.

    Args:
        layers: part and path of every layer there is, of all parts.

    Raises:
        UserError: with the names that are wrong and the blocks that exist.
    """
    layers = list(layers)
    blocks = {block_of(part, path, per_level) for part, path in layers}
    wrong = [
        name
        for name in names
        if name != ALL_OTHERS
        and name not in blocks
        and not any(path == name or path.startswith(f"{name}.") for _, path in layers)
    ]
    if wrong:
        groups = {group_of(part, path) for part, path in layers}
        raise UserError(
            f"{what}: {listed(map(repr, wrong))} fits no layer. There are {', '.join(sorted(blocks))}, and "
            f"{listed(sorted(groups), 16)}; {ALL_OTHERS} speaks for all others."
        )


def weights_by_layer(
    blocks: Sequence[float] | Mapping[str, float], part: str, paths: Sequence[str], per_level: int, *, what: str
) -> dict[str, float]:
    """Return every layer's weight by path.

    Args:
        blocks: 17, 26, 12 or 20 values, or a mapping from block names (``IN05``, ``BASE``) or beginnings of paths
            (``down_blocks.1``); of several beginnings the longest counts, and ``default`` speaks for all others.

    Raises:
        UserError: a layer lies in a block that has no weight. Names that fit no layer are `check_names`' affair,
            because a name may fit another part.
    """
    check_blocks(blocks, what=what)
    named = blocks if isinstance(blocks, Mapping) else dict(zip(LISTS[len(blocks)], blocks, strict=True))
    begins = sorted((name for name in named if not _NAME.fullmatch(name) and name != ALL_OTHERS), key=len, reverse=True)
    found: dict[str, float] = {}
    unnamed: list[str] = []
    for path in paths:
        name = block_of(part, path, per_level)
        begin = next((begin for begin in begins if path == begin or path.startswith(f"{begin}.")), None)
        if begin is not None:
            found[path] = named[begin]
        elif name in named:
            found[path] = named[name]
        elif ALL_OTHERS in named:
            found[path] = named[ALL_OTHERS]
        else:
            unnamed.append(name)
    if unnamed:
        given = f"{len(blocks)} values do" if not isinstance(blocks, Mapping) else "the given names do"
        raise UserError(
            f"{what}: {len(unnamed)} layers of {part} lie in {', '.join(sorted(set(unnamed)))}, which {given} not "
            f"cover. Name blocks instead, with {ALL_OTHERS} for the others."
        )
    return found
