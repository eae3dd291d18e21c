"""UniPELT: LoRA, a prefix and a bottleneck adapter together, each behind a learned gate that the input opens.

G = mean over tokens of σ(w · h + b), one gate per module and method. LoRA on queries and values: y = W x + G · B A x,
the gate in place of alpha / rank. Prefix: K ← [G · P_k; K], V ← [G · P_v; V]. Both read what the attention module is
given. Bottleneck behind the feed-forward: h ← h + G · Up(f(Down(h))), its gate reads the bottleneck's own input h, the
feed-forward's output. Source: Mao et al. 2021, arXiv 2110.07577, section 3. The prefix has no network here.

In a causal language model a mean over all tokens would see the tokens to come, and would change with every token that
is generated. There the gate is each token's own, G = σ(w · h + b), and a token weighs the prefix by its own gate too.
"""

from typing import Any, Literal

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._own import sidecar_config
from trainers.methods._prefix import STARTS_CHANGED


class UnipeltSettings(MethodSettings):
    """Settings of UniPELT."""

    rank: int = Field(8, ge=1, le=1024, description="Rank of the deltas of queries and values.")
    length: int = Field(10, ge=1, le=512, description="Number of learned keys and values in each attention module.")
    size: int = Field(16, ge=1, le=4096, description="Width of the bottleneck behind each feed-forward module.")
    gate: Literal["mean", "token"] = Field(
        "mean", description="Gates that are a mean over all tokens, as in the paper, or each token's own (causal)."
    )


def _config(settings: UnipeltSettings, resolve: ResolveTargets) -> Any:
    kept = {**settings.model_dump(mode="json"), "activation": "relu", "scale": 1.0}
    return sidecar_config("unipelt", resolve(("attention_block", "feed_forward_block")), kept)


METHOD = Method(
    name="unipelt",
    title="UniPELT",
    source="Mao et al. 2021, arXiv 2110.07577, section 3",
    settings=UnipeltSettings,
    recommended={
        "denoiser": Recommendation(3e-3),
        "text_encoder": Recommendation(3e-3),
        "language_model": Recommendation(5e-4, {"gate": "token"}, pocket_rate=0.004),
    },
    peft_config=_config,
    mergeable=False,
    live_weight="the prefix counts w times in the attention, and w times the gated LoRA and bottleneck are added",
    needs_studio=True,
    starts_changed=STARTS_CHANGED,
)
