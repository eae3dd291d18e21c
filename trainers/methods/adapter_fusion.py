"""AdapterFusion: at every layer an attention chooses among several bottleneck adapters that were trained before.

h ← h + Σₙ sₙ · V zₙ with s = softmax over n of (Q h) · (K zₙ); h is the module's output, zₙ what adapter n adds to it.
Only Q, K and V learn; the adapters are copied into the fusion's own file and stay frozen. V begins near the identity
and is held near it by λ ‖V − I‖². Source: Pfeiffer et al. 2021, arXiv 2005.00247, section 3.2 and appendix A.
"""

from pydantic import Field

from trainers.method import ADAPTERS, Method, MethodSettings, Recommendation
from trainers.registry import Late


class AdapterFusionSettings(MethodSettings):
    """Settings of AdapterFusion."""

    adapters: tuple[str, ...] = Field(
        (),
        max_length=8,
        description="The trained adapters to fuse, two or more: folders, or names in the library.",
        json_schema_extra=ADAPTERS,
    )
    regularisation: float = Field(0.01, ge=0, le=10, description="Weight λ of the penalty that holds V near identity.")


METHOD = Method(
    name="adapter_fusion",
    title="AdapterFusion",
    source="Pfeiffer et al. 2021, arXiv 2005.00247, section 3.2",
    settings=AdapterFusionSettings,
    recommended={
        "denoiser": Recommendation(1e-3),
        "text_encoder": Recommendation(1e-3),
        "language_model": Recommendation(5e-5, pocket_rate=0.003),
    },
    peft_config=Late("trainers.tuners.kinds.fusion:config"),
    mergeable=False,
    live_weight="w times what the fused adapters add to their hosts' outputs, exactly",
    needs_studio=True,
    starts_changed="the fused adapters act from the first step",
    prepare=Late("trainers.tuners.kinds.fusion:copy"),
    course=Late("trainers.tuners.kinds.fusion:FusionCourse"),
)
