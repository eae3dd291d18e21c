"""LoRA: a low-rank delta beside frozen weights, W + (alpha / rank) · B · A.

The method to start with: small files, exact blends, read by every tool. Source: Hu et al. 2021, arXiv 2106.09685,
equation 3; rank-stabilised scaling alpha / sqrt(rank) (rsLoRA): Kalajdzievski 2023, arXiv 2312.03732; faster steps for
B (LoRA+): Hayou et al. 2024, arXiv 2402.12354. On convolutions (target ``convolution``) it is what others call LoCon.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets


class LoraSettings(MethodSettings):
    """Settings of LoRA."""

    rank: int = Field(
        16,
        ge=1,
        le=1024,
        description="Rank of the delta. More learns more and stores more; 4 to 64 is usual.",
    )
    alpha: float | None = Field(
        None,
        gt=0,
        description="The delta is multiplied by alpha / rank; empty means alpha = rank, a factor of 1.",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of the layer's inputs dropped in training, 0 to 1.")
    rank_stabilised: bool = Field(
        False,
        description="Multiply by alpha / sqrt(rank) instead, so that high ranks learn as well (rsLoRA).",
    )
    rate_ratio: float = Field(
        1.0,
        ge=1,
        le=64,
        description="B learns this many times faster than A (LoRA+); 1 is plain LoRA, the paper takes 16.",
    )
    targets: tuple[str, ...] = Field(
        ("attention",),
        min_length=1,
        description="Layers that get a delta: attention, feed_forward, convolution, all-linear (of a language model), "
        "or literal module names.",
    )


def _peft_config(settings: LoraSettings, resolve: ResolveTargets) -> Any:
    import peft  # heavy, and not needed to list the methods

    return peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.rank if settings.alpha is None else settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rank_stabilised,
        target_modules=list(resolve(settings.targets)),
        bias="none",
    )


def _rate_factor(path: str, settings: LoraSettings) -> float:
    return settings.rate_ratio if ".lora_B." in path else 1.0


METHOD = Method(
    name="lora",
    title="LoRA",
    source="Hu et al. 2021, arXiv 2106.09685, eq. 3",
    settings=LoraSettings,
    recommended={
        "denoiser": Recommendation(2e-3, {"targets": ("attention", "feed_forward")}),
        "text_encoder": Recommendation(5e-3, {"rank": 8}),
        "language_model": Recommendation(2e-4, {"targets": ("all-linear",)}, pocket_rate=5e-3),
    },
    peft_config=_peft_config,
    mergeable=True,
    rate_factor=_rate_factor,
)
