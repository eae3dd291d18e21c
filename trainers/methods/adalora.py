"""AdaLoRA: LoRA whose rank is moved, while it learns, to the layers that need it.

W + s P Λ Q; triplets of little importance are set to 0 on a budget that falls by a cubic, and a penalty keeps P and Q
orthogonal. The saved file is a plain LoRA with the final rank of every layer. Source: Zhang et al. 2023, arXiv
2303.10512, equations 3 to 5 and 8 to 12.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from trainers.adapter import KEY_PREFIX
from trainers.errors import UserError
from trainers.methods import _peft_bridge as bridge
from trainers.methods._method import Course, Folded, Learner, Method, Recommendation, ResolveTargets
from trainers.methods._stock import LANGUAGE_TARGETS, UNET_TARGETS, RankSettings, peft_config


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


class AdaloraCourse(Course):
    """Drives PEFT's rank allocator, which nothing calls for an adapter that is injected into a bare model."""

    def __init__(self, learner: Learner) -> None:
        super().__init__(learner)
        settings, config = learner.settings, learner.module.peft_config[learner.adapter]
        config.total_step = learner.steps
        config.tinit = int(settings.warmup_share * learner.steps)
        config.tfinal = int(settings.final_share * learner.steps)
        config.deltaT = settings.interval
        self.config, self.allocator = config, bridge.rank_allocator(learner.module, config, learner.adapter)
        self.masks: dict[str, Tensor] = {}

    def penalty(self) -> Tensor | None:
        """Return the mean of ‖PᵀP − I‖ and ‖QQᵀ − I‖ over the layers, weighed (equation 4)."""
        if not self.learner.settings.orthogonality:
            return None
        terms = []
        for path, factor in bridge.adapter_parameters(self.learner.module, self.learner.adapter).items():
            if "lora_A" in path or "lora_B" in path:
                product = factor @ factor.T if "lora_A" in path else factor.T @ factor
                terms.append(torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device)))
        return self.learner.settings.orthogonality * torch.stack(terms).mean()

    def after_step(self, step: int, *, skipped: bool) -> None:
        """Update the importances and cut; from the last cut on keep what was cut at 0."""
        if skipped:
            return
        last = self.config.total_step - self.config.tfinal
        if step + 1 == last and not self.allocator.exp_avg_ipt:
            return  # so short a run has no importances to cut by
        if step + 1 <= last:
            _, ranks = self.allocator.update_and_allocate(self.learner.module, step + 1, force_mask=step + 1 == last)
            if ranks:
                self.masks = {name: torch.tensor(mask) for name, mask in ranks.items()}
        else:
            for path, values in bridge.adapter_parameters(self.learner.module, self.learner.adapter).items():
                if path in self.masks:
                    values.data[~self.masks[path].to(values.device)] = 0.0

    def state(self) -> dict[str, Tensor]:
        """Return importances and masks."""
        kinds = {"ipt": self.allocator.ipt, "avg": self.allocator.exp_avg_ipt, "unc": self.allocator.exp_avg_unc}
        found = {f"{kind}/{name}": value.clone() for kind, values in kinds.items() for name, value in values.items()}
        return {**found, **{f"mask/{name}": mask for name, mask in self.masks.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put importances and masks back."""
        self.allocator.reset_ipt()
        kinds = {"ipt": self.allocator.ipt, "avg": self.allocator.exp_avg_ipt, "unc": self.allocator.exp_avg_unc}
        places: dict[str, dict[str, Tensor]] = {**kinds, "mask": self.masks}
        for key, value in state.items():
            kind, _, name = key.partition("/")
            places[kind][name] = value.clone()


def _fold(config: dict[str, Any], tensors: dict[str, Tensor]) -> Folded:
    """Write s P Λ Q as a LoRA with each layer's own rank; layers that lost all of theirs are left out."""
    folded: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for key, down in tensors.items():
        path, found, _ = key.partition(".lora_A")
        if not found:
            continue
        up, values = tensors[f"{path}.lora_B"], tensors[f"{path}.lora_E"].reshape(-1)
        kept = values != 0
        if not kept.any():
            continue
        scale = config["lora_alpha"] / (down.shape[0] + 1e-5)  # PEFT divides by the first rank, and adds this
        folded[f"{path}.lora_A.weight"] = (down[kept] * values[kept, None] * scale).contiguous()
        folded[f"{path}.lora_B.weight"] = up[:, kept].contiguous()
        ranks[path.removeprefix(KEY_PREFIX)] = int(kept.sum())
    if not ranks:  # a fresh adapter: nothing has been learned yet
        for key, down in tensors.items():
            path, found, _ = key.partition(".lora_A")
            if found:
                folded[f"{path}.lora_A.weight"], folded[f"{path}.lora_B.weight"] = down, 0 * tensors[f"{path}.lora_B"]
                ranks[path.removeprefix(KEY_PREFIX)] = down.shape[0]
    common = max(set(ranks.values()), key=list(ranks.values()).count)
    pattern = {path: rank for path, rank in ranks.items() if rank != common}
    plain = {"peft_type": "LORA", "r": common, "lora_alpha": common, "rank_pattern": pattern, "alpha_pattern": pattern}
    return {**plain, "target_modules": sorted(ranks), "bias": "none"}, folded


METHOD = Method(
    name="adalora",
    title="AdaLoRA",
    source="Zhang et al. 2023, arXiv 2303.10512, eq. 3–12",
    settings=AdaloraSettings,
    recommended={
        "unet": Recommendation(2e-2, {"targets": UNET_TARGETS}),
        "text_encoder": Recommendation(1e-2),
        "language_model": Recommendation(1e-3, {"targets": LANGUAGE_TARGETS}, pocket_rate=0.01),
    },
    peft_config=_config,
    mergeable=True,
    course=AdaloraCourse,
    shrinks=True,
    fold=_fold,
)
