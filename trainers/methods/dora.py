"""DoRA: LoRA for the weight's direction and a learned length for every output.

W' = m · (W + ΔW) / ‖W + ΔW‖, the norm by output; m is ‖W‖ at first.
Source: Liu et al. 2024, arXiv 2402.09353, equation 5.
"""

from typing import Any

from trainers.method import BETWEEN, Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS
from trainers.methods.lora import METHOD as LORA
from trainers.methods.lora import LoraSettings


class DoraSettings(LoraSettings):
    """Settings of DoRA: those of LoRA."""


def _config(settings: DoraSettings, resolve: ResolveTargets) -> Any:
    config = LORA.peft_config(settings, resolve)
    config.use_dora = True
    return config


METHOD = Method(
    name="dora",
    title="DoRA",
    source="Liu et al. 2024, arXiv 2402.09353, eq. 5",
    settings=DoraSettings,
    recommended={
        "denoiser": Recommendation(1e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(5e-3, {"rank": 8}),
        "language_model": Recommendation(2e-4, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.005),
    },
    peft_config=_config,
    mergeable=True,
    live_weight=BETWEEN,
    rate_factor=LORA.rate_factor,
)
