"""DPM-Solver++(2M): a multistep solver of second order, good from about 15 steps on.

Source: Lu et al. 2022, arXiv 2211.01095, algorithm 2.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.samplers._sampler import Sampler


def _build(config: Mapping[str, Any]) -> Any:
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler.from_config(
        config, algorithm_type="dpmsolver++", solver_order=2, solver_type="midpoint"
    )


SAMPLER = Sampler("dpmpp_2m", "DPM++ 2M", "Lu et al. 2022, arXiv 2211.01095, algorithm 2", _build)
