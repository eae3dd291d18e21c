"""DDIM: the plain walk along the predicted clean picture. Source: Song et al. 2020, arXiv 2010.02502, eq. 12."""

from collections.abc import Mapping
from typing import Any

from pipelines.samplers._sampler import Sampler


def _build(config: Mapping[str, Any]) -> Any:
    from diffusers import DDIMScheduler

    # Where the base says nothing of clipping it learned without; diffusers' default for this class is to clip.
    return DDIMScheduler.from_config(config, clip_sample=config.get("clip_sample", False))


SAMPLER = Sampler("ddim", "DDIM", "Song et al. 2020, arXiv 2010.02502, eq. 12 with σ = 0", _build)
