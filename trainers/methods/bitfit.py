"""BitFit: only the biases are trained.

y = W x + b + Δb. Source: Ben Zaken et al. 2021, arXiv 2106.10199, section 3. Where a part has no biases the method does
not fit, and says so; a Llama has none.
"""

from typing import Any

from pydantic import Field

from trainers.errors import UserError
from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._own import delta_config


class BitfitSettings(MethodSettings):
    """Settings of BitFit."""

    targets: tuple[str, ...] = Field(
        ("biased",),
        min_length=1,
        description="Layers whose biases are trained: biased (all that have one), norm, or literal module names.",
    )


def _config(settings: BitfitSettings, resolve: ResolveTargets) -> Any:
    biased = set(resolve(("biased",)))
    if not biased:
        raise UserError(
            "BitFit trains biases, and this part has none: its linear layers and norms are without. Use 'lora', or "
            "'partial' with targets norm."
        )
    return delta_config(resolve(settings.targets), ("bias",))


METHOD = Method(
    name="bitfit",
    title="BitFit",
    source="Ben Zaken et al. 2021, arXiv 2106.10199",
    settings=BitfitSettings,
    recommended={
        "denoiser": Recommendation(1e-2),
        "text_encoder": Recommendation(3e-3),
        "language_model": Recommendation(1e-3, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    needs_studio=True,
)
