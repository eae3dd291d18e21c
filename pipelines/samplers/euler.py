"""Euler's method on the probability-flow equation. Source: Karras et al. 2022, arXiv 2206.00364, algorithm 2, S = 0."""

from collections.abc import Mapping
from typing import Any

from pipelines.samplers._sampler import Sampler


def _build(config: Mapping[str, Any]) -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler.from_config(config)


SAMPLER = Sampler("euler", "Euler", "Karras et al. 2022, arXiv 2206.00364, algorithm 2 without churn", _build)
