"""Block: the exact sum with an own weight for every block, W + Σ wᵢ·bᵢ(layer)·ΔWᵢ.

Row scalings of factors, so nothing is lost. The weights are 17, 26, 12 or 20 values as lora-block-weight users write
them, or go by name; every other blend takes them too, this one insists. Source: hako-mikan/sd-webui-lora-block-weight.
"""

from pipelines.blends._blend import EXACT, Blend
from pipelines.blends.exact import combine

BLEND = Blend(
    "block",
    "Exact sum with weights by block",
    "W + Σ wᵢ·bᵢ(layer)·ΔWᵢ; lora-block-weight",
    combine,
    kind=EXACT,
    by_block=True,
)
