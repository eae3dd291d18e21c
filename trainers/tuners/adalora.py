"""AdaLoRA while it learns: PEFT's rank allocator step by step, and the plain LoRA that is saved."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainers.adapter import KEY_PREFIX
from trainers.method import Course, Folded, Learner
from trainers.tuners import peft_bridge as bridge


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


def fold(config: dict[str, Any], tensors: dict[str, Tensor]) -> Folded:
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
