"""MAM adapter: a prefix on the attention and a scaled parallel bottleneck beside the feed-forward modules.

Attention: K ← [P_k; K], V ← [P_v; V], the prefix made by a network that is folded away when saved. Feed-forward:
y = FF(x) + s · Up(relu(Down(x))). Source: He et al. 2021, arXiv 2110.04366, section 4.6: prefix length 30, s = 4.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._own import sidecar_config
from trainers.methods._prefix import FOLD_PREFIX, STARTS_CHANGED


class MamSettings(MethodSettings):
    """Settings of the MAM adapter."""

    length: int = Field(16, ge=1, le=512, description="Number of learned keys and values in each attention module.")
    hidden: int = Field(64, ge=1, le=4096, description="Width of the network that makes them in training.")
    size: int = Field(32, ge=1, le=4096, description="Width of the bottleneck beside each feed-forward module.")
    scale: float = Field(4.0, gt=0, le=100, description="Factor on what the bottleneck adds.")


def _config(settings: MamSettings, resolve: ResolveTargets) -> Any:
    targets = resolve(("attention_block", "feed_forward_block"))
    return sidecar_config("mam", targets, {**settings.model_dump(mode="json"), "activation": "relu"})


METHOD = Method(
    name="mam",
    title="MAM adapter",
    source="He et al. 2021, arXiv 2110.04366, section 4.6",
    settings=MamSettings,
    recommended={
        "denoiser": Recommendation(3e-3),
        "text_encoder": Recommendation(3e-5),
        "language_model": Recommendation(5e-4, pocket_rate=0.003),
    },
    peft_config=_config,
    mergeable=False,
    live_weight="the prefix counts w times in the attention, and w times the bottleneck is added",
    needs_studio=True,
    starts_changed=STARTS_CHANGED,
    fold=FOLD_PREFIX,
)
