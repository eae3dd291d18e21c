"""Blocks of a UNet by the names that users of lora-block-weight know, and weights by block.

IN00 is the first convolution, IN01 … the layers of the down blocks in order, M00 the middle, OUT00 … the up blocks;
BASE is the text encoder and whatever lies in no block. On the way down each change of size takes a number too; on the
way up it belongs to the last layer of its level. The numbers are the base's, whatever few layers an adapter touches.
The lists of 17, 26, 12 and 20 values are those of hako-mikan/sd-webui-lora-block-weight: 17 and 26 for Stable Diffusion
1 and 2 (without and with the convolutions), 12 and 20 for SDXL.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from trainers.card import BaseCard
from trainers.errors import UserError
from trainers.wording import count_of, listed

BASE_BLOCK = "BASE"


def _numbered(prefix: str, numbers: Iterable[int]) -> list[str]:
    return [f"{prefix}{number:02d}" for number in numbers]


LISTS: Mapping[int, tuple[str, ...]] = {
    17: (BASE_BLOCK, *_numbered("IN", (1, 2, 4, 5, 7, 8)), "M00", *_numbered("OUT", range(3, 12))),
    26: (BASE_BLOCK, *_numbered("IN", range(12)), "M00", *_numbered("OUT", range(12))),
    12: (BASE_BLOCK, *_numbered("IN", (4, 5, 7, 8)), "M00", *_numbered("OUT", range(6))),
    20: (BASE_BLOCK, *_numbered("IN", range(9)), "M00", *_numbered("OUT", range(9))),
}
_FOUR_LEVELS, _THREE_LEVELS = (2, 2, 2, 2), (2, 2, 2)
_LAYERS_OF_LIST: Mapping[int, tuple[int, ...]] = {
    17: _FOUR_LEVELS,
    26: _FOUR_LEVELS,
    12: _THREE_LEVELS,
    20: _THREE_LEVELS,
}
_PUBLISHED: Mapping[tuple[str, int | None, int | None], tuple[int, ...]] = {
    ("sd1", 4, 320): _FOUR_LEVELS,
    ("sdxl", 3, 320): _THREE_LEVELS,
}
"""(family, levels, width of the first) -> layers of each level, as the families were published."""
_PLACE = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers|motion_modules)\.(\d+)")
_NAME = re.compile(r"BASE|M00|(IN|OUT)\d\d")
_NUMBERED = re.compile(r"(IN|OUT)\d\d")
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


@dataclass(frozen=True)
class UNetLayout:
    """How many layers each level of a base's UNet has on the way down, which says the number of every block."""

    layers: tuple[int, ...]

    def block_of(self, path: str) -> str:
        """Return the name of the block that a layer of the UNet lies in.

        Raises:
            UserError: this UNet has no such layer.
        """
        place = _PLACE.search(path)
        if place is None:
            return _end_of(path)
        level, kind, number = int(place[2]), place[3], int(place[4])
        counts = self.layers if place[1] == "down" else tuple(n + 1 for n in reversed(self.layers))
        if level >= len(counts) or (number >= counts[level] and not kind.endswith("samplers")):
            raise UserError(
                f"The layer {path} lies outside a UNet whose levels have {_shown(self.layers)} layers. Give "
                "the base that the adapter was made for (--base)."
            )
        before = sum(counts[:level])
        if place[1] == "up":
            return f"OUT{before + (counts[level] - 1 if kind == 'upsamplers' else number):02d}"
        return f"IN{1 + before + level + (counts[level] if kind == 'downsamplers' else number):02d}"


def layout_of_paths(paths: Iterable[str]) -> UNetLayout | None:
    """Return the layout of a UNet from the paths of **all** its modules; None where they are no such UNet's."""
    found = [_PLACE.search(path) for path in paths]
    places = [(int(m[2]), int(m[4])) for m in found if m and m[1] == "down" and m[3] == "resnets"]
    levels = 1 + max((level for level, _ in places), default=-1)
    counts = [1 + max((number for at, number in places if at == level), default=-1) for level in range(levels)]
    return UNetLayout(tuple(counts)) if counts else None


def layout_of_card(base: BaseCard) -> UNetLayout | None:
    """Return the layout of an adapter's base, from its card or as its family was published; None where none says."""
    widths = base.widths
    layers = base.unet_layers or _PUBLISHED.get((base.family, widths.get("unet_levels"), widths.get("unet_width")))
    return UNetLayout(layers) if layers else None


def block_of(part: str, path: str, layout: UNetLayout | None) -> str:
    """Return the name of the block that a layer lies in; without a layout, of a numbered one its level's path.

    Raises:
        UserError: as `UNetLayout.block_of`.
    """
    if part != "unet":
        return BASE_BLOCK
    if layout is not None:
        return layout.block_of(path)
    return group_of(part, path) if _PLACE.search(path) else _end_of(path)


def needs_layout(blocks: Sequence[float] | Mapping[str, float] | None) -> bool:
    """Return whether block weights count blocks, so that they say nothing without the base's layout."""
    return any(map(_NUMBERED.fullmatch, blocks)) if isinstance(blocks, Mapping) else blocks is not None


def _end_of(path: str) -> str:
    """Return the block of a UNet's layer that lies in no level."""
    return "IN00" if path.startswith("conv_in") else "M00" if path.startswith("mid_block") else BASE_BLOCK


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
        kohya = " kohya's trainers take 25, which lack the text encoder's: put it first." if len(blocks) == 25 else ""
        raise UserError(
            f"{what} has {len(blocks)} block weights.{kohya} 17 or 26 fit Stable Diffusion 1 and 2, 12 or 20 SDXL "
            "(without and with convolutions); or name blocks, such as IN05:0.5,down_blocks.1:0.2,default:1."
        )


def check_layout(blocks: Sequence[float] | Mapping[str, float] | None, layout: UNetLayout | None, *, what: str) -> None:
    """Refuse block weights that count blocks where the base's layout is unknown, or is not the one they count.

    Raises:
        UserError: with what to give instead.
    """
    if not needs_layout(blocks):
        return
    if layout is None:
        raise UserError(
            f"{what} count blocks, and no card says how many layers each level of the base has. Give the base with "
            "--base, or name blocks by the beginnings of their paths, such as down_blocks.1:0.2,default:1."
        )
    if blocks is None or isinstance(blocks, Mapping) or layout.layers == _LAYERS_OF_LIST[len(blocks)]:
        return
    fitting = [str(count) for count, layers in _LAYERS_OF_LIST.items() if layers == layout.layers]
    advice = f"give {' or '.join(fitting)} values, or " if fitting else ""
    raise UserError(
        f"{what} are {len(blocks)} values, for a UNet whose levels have {_shown(_LAYERS_OF_LIST[len(blocks)])} layers. "
        f"This base's have {_shown(layout.layers)}: {advice}name blocks, such as down_blocks.1:0.2,default:1."
    )


def check_names(
    names: Iterable[str], layers: Iterable[tuple[str, str]], layout: UNetLayout | None, *, what: str
) -> None:
    """Refuse names of blocks and beginnings of paths that fit no layer.

    Args:
        layers: part and path of every layer there is, of all parts.

    Raises:
        UserError: with the names that are wrong and the blocks that exist.
    """
    layers = list(layers)
    blocks = {block_of(part, path, layout) for part, path in layers}
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
    blocks: Sequence[float] | Mapping[str, float],
    part: str,
    paths: Sequence[str],
    layout: UNetLayout | None,
    *,
    what: str,
) -> dict[str, float]:
    """Return every layer's weight by path.

    Args:
        blocks: 17, 26, 12 or 20 values, or a mapping from block names (``IN05``, ``BASE``) or beginnings of paths
            (``down_blocks.1``); of several beginnings the longest counts, and ``default`` speaks for all others.

    Raises:
        UserError: a layer lies in a block that has no weight, or the blocks cannot be counted. Names that fit no layer
            are `check_names`' affair, because a name may fit another part.
    """
    check_blocks(blocks, what=what)
    check_layout(blocks, layout, what=what)
    named = blocks if isinstance(blocks, Mapping) else dict(zip(LISTS[len(blocks)], blocks, strict=True))
    begins = sorted((name for name in named if not _NAME.fullmatch(name) and name != ALL_OTHERS), key=len, reverse=True)
    found: dict[str, float] = {}
    unnamed: list[str] = []
    for path in paths:
        name = block_of(part, path, layout)
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
        other = "" if isinstance(blocks, Mapping) else " (lora-block-weight leaves them out, which default:0 does)"
        raise UserError(
            f"{what}: {count_of(len(unnamed), 'layer')} of {part} {'lies' if len(unnamed) == 1 else 'lie'} in "
            f"{', '.join(sorted(set(unnamed)))}, which {given} not cover. "
            f"Name blocks instead, with {ALL_OTHERS} for the others{other}."
        )
    return found


def _shown(layers: Iterable[int]) -> str:
    return ", ".join(map(str, layers))
