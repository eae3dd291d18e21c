"""Full fine-tuning: every weight of the part gets a delta of its own.

y = f(x; W + ΔW) for all W. The base itself stays as it is, the file holds the whole delta, and weights of the adapter
are exact. The strongest method, with the largest file and the most memory; LoRA comes close at a hundredth of both.
"""

from typing import Any

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._own import delta_config


class FullSettings(MethodSettings):
    """Full fine-tuning has no settings of its own."""


def _config(settings: FullSettings, resolve: ResolveTargets) -> Any:
    return delta_config(resolve(("weighted",)), ("weight", "bias"))


METHOD = Method(
    name="full",
    title="Full fine-tuning",
    source="gradient descent on all weights",
    settings=FullSettings,
    recommended={
        "denoiser": Recommendation(2e-4),
        "text_encoder": Recommendation(2e-4),
        "language_model": Recommendation(2e-5, pocket_rate=0.0003),
    },
    peft_config=_config,
    mergeable=True,
    needs_studio=True,
)
