"""Pfeiffer adapters: a bottleneck behind every feed-forward module, before its residual is added.

h ← h + Up(f(Down(h))) on the module's output h. Source: Pfeiffer et al. 2020, arXiv 2005.00247, section 4; dropping of
the first blocks: Rücklé et al. 2020 (AdapterDrop), arXiv 2010.11918.
"""

from typing import Any

from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._bottleneck import ADAPTER_DROP, LIVE_WEIGHT, BottleneckSettings, bottleneck_config


class PfeifferSettings(BottleneckSettings):
    """Settings of the Pfeiffer adapter."""


def _config(settings: PfeifferSettings, resolve: ResolveTargets) -> Any:
    return bottleneck_config(settings, resolve, ("feed_forward_block",))


METHOD = Method(
    name="pfeiffer",
    title="Pfeiffer adapter",
    source="Pfeiffer et al. 2020, arXiv 2005.00247",
    settings=PfeifferSettings,
    recommended={
        "denoiser": Recommendation(3e-3),
        "text_encoder": Recommendation(3e-3),
        "language_model": Recommendation(1e-4, pocket_rate=0.005),
    },
    peft_config=_config,
    mergeable=False,
    live_weight=LIVE_WEIGHT,
    needs_studio=True,
    course=ADAPTER_DROP,
)
