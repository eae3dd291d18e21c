"""The pictures that a metric measures, with all that it may need."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from pipelines.judge import Judge


@dataclass(frozen=True)
class Pictures:
    """n pictures of a grid."""

    pictures: Sequence[Image.Image]
    prompts: Sequence[str]
    subjects: Sequence[str]
    """The part of each prompt that every look should keep."""
    judge: Judge
    references: Mapping[str, Tensor]
    """Adapter -> the judge's embeddings [m, d] of its training pictures."""

    @functools.cached_property
    def embeddings(self) -> Tensor:
        """The judge's embeddings [n, d], of length 1; computed once for all metrics."""
        return self.judge.embed_images(self.pictures)
