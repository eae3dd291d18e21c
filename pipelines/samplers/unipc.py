"""UniPC: a predictor and a corrector of second order that share their evaluations. Source: Zhao et al. 2023,
arXiv 2302.04867, algorithms 1 and 2.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.samplers._sampler import Sampler


def _build(config: Mapping[str, Any]) -> Any:
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler.from_config(config, solver_order=2, solver_type="bh2")


SAMPLER = Sampler("unipc", "UniPC", "Zhao et al. 2023, arXiv 2302.04867, algorithms 1 and 2", _build)
