"""PiSSA: a low-rank delta that begins at the weight's largest singular directions instead of at noise.

W x + s (B A − B₀ A₀) x, with B₀ = U √S / √s and A₀ = √S Vᵀ / √s of the largest r of W = U S Vᵀ. This is the paper's
W_res + s B A with W_res = W − s B₀ A₀, written so that the base is never changed; s is 1. The saved file is a plain
LoRA of rank 2 r with the exact same delta. Source: Meng et al. 2024, arXiv 2404.02948, equations 2 to 4.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._own import sidecar_config
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings
from trainers.registry import Late


class PissaSettings(RankSettings):
    """Settings of PiSSA."""

    rank: int = Field(8, ge=1, le=1024, description="Rank that is trained; the saved file has twice as much.")


def _config(settings: PissaSettings, resolve: ResolveTargets) -> Any:
    return sidecar_config("pissa", resolve(settings.targets), {"rank": settings.rank})


METHOD = Method(
    name="pissa",
    title="PiSSA",
    source="Meng et al. 2024, arXiv 2404.02948, eq. 2–4",
    settings=PissaSettings,
    recommended={
        "denoiser": Recommendation(1e-3, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(2e-3),
        "language_model": Recommendation(2e-5, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.002),
    },
    peft_config=_config,
    mergeable=True,
    fold=Late("trainers.tuners.kinds.pissa:fold"),
)
