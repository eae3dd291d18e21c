"""AdaLoRA: LoRA whose rank is moved, while it learns, to the layers that need it.

W + s P Λ Q; triplets of little importance are set to 0 on a budget that falls by a cubic, and a penalty keeps P and Q
orthogonal. The saved file is a plain LoRA with the final rank of every layer. Source: Zhang et al. 2023, arXiv
2303.10512, equations 3 to 5 and 8 to 12.
"""

from typing import Any

from pydantic import Field

from trainers.errors import UserError
from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._stock import DENOISER_TARGETS, LANGUAGE_TARGETS, RankSettings, peft_config
from trainers.registry import Late


class AdaloraSettings(RankSettings):
    """Settings of AdaLoRA."""

    rank: int = Field(8, ge=1, le=1024, description="Average rank at the end.")
    start_rank: int | None = Field(None, ge=2, le=1536, description="Rank at the start; empty: 1.5 times the rank.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of the steps before the budget begins to fall.")
    final_share: float = Field(0.3, ge=0, lt=1, description="Share of the steps at the end with the final ranks.")
    interval: int = Field(5, ge=1, le=10_000, description="Steps between two cuts.")
    orthogonality: float = Field(0.1, ge=0, le=10, description="Weight of the penalty on P and Q.")

    def first_rank(self) -> int:
        """Return the rank of every layer at the start."""
        return self.start_rank or -(-3 * self.rank // 2)


def _config(settings: AdaloraSettings, resolve: ResolveTargets) -> Any:
    start = settings.first_rank()
    if start <= settings.rank or settings.warmup_share + settings.final_share >= 1:
        raise UserError(
            f"AdaLoRA cannot fall from rank {start} to {settings.rank} between {settings.warmup_share:.0%} and "
            f"{1 - settings.final_share:.0%} of the steps. Give a start_rank above the rank, and shares below 1 in sum."
        )
    # The real length of the run is known to the course; PEFT only wants some number here.
    return peft_config(
        "AdaLoraConfig", settings, resolve, init_r=start, target_r=settings.rank, lora_alpha=start, total_step=1
    )


METHOD = Method(
    name="adalora",
    title="AdaLoRA",
    source="Zhang et al. 2023, arXiv 2303.10512, eq. 3–12",
    settings=AdaloraSettings,
    recommended={
        "denoiser": Recommendation(2e-2, {"targets": DENOISER_TARGETS}),
        "text_encoder": Recommendation(1e-2),
        "language_model": Recommendation(1e-3, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    course=Late("trainers.tuners.adalora:AdaloraCourse"),
    shrinks=True,
    fold=Late("trainers.tuners.adalora:fold"),
)
