"""Parallel adapters: a bottleneck beside every feed-forward module, fed with the module's input.

y = FF(x) + s · Up(f(Down(x))). Source: He et al. 2021, arXiv 2110.04366, table 1 and section 4.6, where a scale s of 4
and wide bottlenecks serve best.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._bottleneck import ADAPTER_DROP, LIVE_WEIGHT, BottleneckSettings, bottleneck_config


class ParallelAdapterSettings(BottleneckSettings):
    """Settings of the Parallel adapter."""

    scale: float = Field(4.0, gt=0, le=100, description="Factor on what the adapter adds.")


def _config(settings: ParallelAdapterSettings, resolve: ResolveTargets) -> Any:
    return bottleneck_config(settings, resolve, ("feed_forward_block",), parallel=True)


METHOD = Method(
    name="parallel_adapter",
    title="Parallel adapter",
    source="He et al. 2021, arXiv 2110.04366, table 1",
    settings=ParallelAdapterSettings,
    recommended={
        "denoiser": Recommendation(2e-3),
        "text_encoder": Recommendation(3e-3),
        "language_model": Recommendation(1e-4, pocket_rate=0.005),
    },
    peft_config=_config,
    mergeable=False,
    live_weight=LIVE_WEIGHT,
    needs_studio=True,
    course=ADAPTER_DROP,
)
