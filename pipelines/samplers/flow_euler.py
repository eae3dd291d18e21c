"""Euler's method on a flow's straight paths. Source: Esser et al. 2024, arXiv 2403.03206, section 2."""

from collections.abc import Mapping
from typing import Any

from pipelines.samplers._sampler import FLOW, Sampler


def _build(config: Mapping[str, Any]) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler.from_config(config)


SAMPLER = Sampler("flow_euler", "Flow Euler", "Esser et al. 2024, arXiv 2403.03206, section 2", _build, FLOW)
