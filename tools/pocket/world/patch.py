"""The unit that styles paint: one outline or stroke on the canvas, with its natural colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .shapes import RGB, Role

Layer = Literal["sky", "ground", "feature", "thing"]


@dataclass(frozen=True)
class Patch:
    """A filled outline (`closed`) or a stroke of `width`; canvas units, 0 to 1 from the top left.

    points: float64 [n, 2]. colour: as under plain light. layer: `sky` fills the canvas, `ground` is
    a wide area, `feature` a detail of the setting. thing: which thing it belongs to, -1 for the
    setting. base: the thing's named colour, for the setting the patch's own colour.
    """

    points: np.ndarray
    colour: RGB
    layer: Layer
    role: Role = "body"
    closed: bool = True
    width: float = 0.0
    thing: int = -1
    base: RGB = (0, 0, 0)


def backdrop_patch(shape_points: np.ndarray, colour: RGB, layer: Layer, width: float = 0.0) -> Patch:
    """A patch of the setting; a `width` above zero makes it an open stroke."""
    points = np.asarray(shape_points, dtype=np.float64)
    return Patch(points, colour, layer, closed=width == 0, width=width, base=colour)
