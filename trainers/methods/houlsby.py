"""Houlsby adapters: a bottleneck behind every attention and every feed-forward module, before their residual is added.

h ← h + Up(f(Down(h))) on the module's output h. Source: Houlsby et al. 2019, arXiv 1902.00751, section 2.1; dropping of
the first blocks: Rücklé et al. 2020 (AdapterDrop), arXiv 2010.11918. The paper also trains the layer norms; add
'norm_tuning' as a second adapter for that.
"""

from typing import Any

from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._bottleneck import ADAPTER_DROP, LIVE_WEIGHT, BottleneckSettings, bottleneck_config


class HoulsbySettings(BottleneckSettings):
    """Settings of the Houlsby adapter."""


def _config(settings: HoulsbySettings, resolve: ResolveTargets) -> Any:
    return bottleneck_config(settings, resolve, ("attention_block", "feed_forward_block"))


METHOD = Method(
    name="houlsby",
    title="Houlsby adapter",
    source="Houlsby et al. 2019, arXiv 1902.00751",
    settings=HoulsbySettings,
    recommended={
        "denoiser": Recommendation(3e-3),
        "text_encoder": Recommendation(1e-2),
        "language_model": Recommendation(1e-4, pocket_rate=0.004),
    },
    peft_config=_config,
    mergeable=False,
    live_weight=LIVE_WEIGHT,
    needs_studio=True,
    course=ADAPTER_DROP,
)
