"""QLoRA: LoRA on a base whose weights are rounded to 4 bits, so that a large base fits into little memory.

y = dequantised(W) x + (alpha / rank) · B A x. W is kept as NF4 in blocks of 64 with their largest absolute values
quantised again (double quantisation), and is written out for the length of one matrix product. The base's own weights
wait in the computer's memory and come back bit for bit when the adapter is off or taken off. The saved file is a plain
LoRA and is used on the full weights. Source: Dettmers et al. 2023, arXiv 2305.14314, equations 5 and 6.
"""

from typing import Any

from pydantic import Field

from trainers.errors import UserError
from trainers.method import Method, Recommendation, ResolveTargets
from trainers.methods._own import sidecar_config
from trainers.methods._stock import RankSettings
from trainers.quantiser import has_quantiser
from trainers.registry import Late

_EVERYWHERE = ("attention", "feed_forward")


class QloraSettings(RankSettings):
    """Settings of QLoRA."""

    rank: int = Field(16, ge=1, le=1024, description="Rank of the delta; the paper takes 64 for language models.")
    alpha: float | None = Field(
        None, gt=0, description="The delta is multiplied by alpha / rank; empty means alpha = rank, a factor of 1."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of the layer's inputs dropped in training, 0 to 1.")
    targets: tuple[str, ...] = Field(
        _EVERYWHERE,
        min_length=1,
        description="Linear layers that are rounded and adapted: attention, feed_forward, or literal module names.",
    )


def _config(settings: QloraSettings, resolve: ResolveTargets) -> Any:
    if not has_quantiser():
        raise UserError(
            "QLoRA needs the package bitsandbytes, which is not installed. Run: pip install "
            "'adapter-studio[quantised]', or take the method 'lora'."
        )
    alpha = float(settings.rank if settings.alpha is None else settings.alpha)
    kept = {"rank": settings.rank, "alpha": alpha, "dropout": settings.dropout}
    return sidecar_config("qlora", resolve(settings.targets), kept)


METHOD = Method(
    name="qlora",
    title="QLoRA",
    source="Dettmers et al. 2023, arXiv 2305.14314, eq. 5–6",
    settings=QloraSettings,
    recommended={
        "denoiser": Recommendation(1e-3),
        "text_encoder": Recommendation(5e-3, {"rank": 8}),
        "language_model": Recommendation(2e-4, pocket_rate=5e-3),
    },
    peft_config=_config,
    mergeable=True,
    live_weight="w times the delta, on weights rounded to 4 bits in training; 0 is the base's full weights",
    starts_changed="the base's weights are rounded to 4 bits",
    loads_changed="learned on weights rounded to 4 bits and acts on the full ones, so its pictures differ a little",
    fold=Late("trainers.tuners.kinds.qlora:fold"),
)
