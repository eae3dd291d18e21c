"""Deltas of the output layer and of the table of words, from other programs and into their files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from pipelines.attach import attached
from pipelines.blending import blend_adapters
from pipelines.exporting import take_out
from pipelines.families import TextBase
from pipelines.importing import bring_in
from pipelines.mixing import Mixture
from pipelines.resizing import Wish, resize
from tests.pipelines.blends.support import recipe_of
from tests.support import random_adapter
from trainers.adapter import Adapter
from trainers.errors import UserError
from trainers.tensor_files import read_tensors, write_tensors

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT warns that it saves the base's matrices
LM = "language_model"
FILE = "adapter_model.safetensors"


@torch.no_grad()
def logits(base: TextBase, adapters: dict[str, Adapter], weights: dict[str, float]) -> Tensor:
    with attached(base, adapters) as attachments:
        attachments.set_weights(weights)
        return base.model(input_ids=torch.arange(5, 25)[None], use_cache=False).logits.clone()


def by_peft(base: TextBase, folder: Path, targets: list[str]) -> Tensor:
    """Let plain PEFT write an adapter as it does by itself, with the base's matrices in it; return its logits."""
    model = type(base.model)(base.model.config).eval()
    model.load_state_dict(base.model.state_dict())
    wrapped: Any = get_peft_model(model, LoraConfig(r=3, lora_alpha=6, target_modules=targets))
    generator = torch.Generator().manual_seed(0)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    wrapped.save_pretrained(folder)
    with torch.no_grad():
        found: Tensor = wrapped(input_ids=torch.arange(5, 25)[None], use_cache=False).logits
    return found


@pytest.mark.parametrize("targets", [["lm_head", "q_proj"], ["embed_tokens"], ["lm_head", "embed_tokens"]])
def test_what_peft_writes_with_the_base_s_matrices_is_read(
    text_base: TextBase, tmp_path: Path, targets: list[str]
) -> None:
    wanted = by_peft(text_base, tmp_path / "peft", targets)
    copies = [key for key in read_tensors(tmp_path / "peft" / FILE, "file") if key.endswith("base_layer.weight")]
    assert copies
    found = bring_in(tmp_path / "peft", text_base, "x")
    assert torch.allclose(logits(text_base, found.adapters, {"x": 1.0}), wanted, atol=1e-5)
    assert not any("base_layer" in key for key in found.adapters["x"].parts[LM].tensors)
    assert all(key in found.notes[0] for key in copies)
    assert "only repeats the base's own" in found.notes[0]


@pytest.mark.parametrize("change", ["trained", "resized"])
def test_a_matrix_that_is_not_the_base_s_is_refused(text_base: TextBase, tmp_path: Path, change: str) -> None:
    by_peft(text_base, tmp_path / "peft", ["lm_head"])
    tensors = read_tensors(tmp_path / "peft" / FILE, "file")
    key = next(key for key in tensors if key.endswith("base_layer.weight"))
    other = tensors[key] + 0.01 if change == "trained" else torch.cat([tensors[key], tensors[key][:2]])
    write_tensors(tmp_path / "peft" / FILE, {**tensors, key: other})
    with pytest.raises(UserError, match="a whole matrix of its own") as caught:
        bring_in(tmp_path / "peft", text_base, "x")
    assert ("the base's is" in str(caught.value)) == (change == "resized")


@pytest.mark.parametrize("targets", [("lm_head",), ("embed_tokens",), ("lm_head", "embed_tokens", "q_proj")])
def test_they_go_out_and_come_in_as_they_are(text_base: TextBase, tmp_path: Path, targets: tuple[str, ...]) -> None:
    adapter = random_adapter(text_base, "x", parts=(LM,), targets=targets)
    assert len(adapter.parts[LM].tensors) == 2 * sum(1 if name != "q_proj" else 2 for name in targets)
    take_out(adapter, "peft", tmp_path / "out", base=text_base)
    again = bring_in(tmp_path / "out", text_base, "y").adapters
    assert torch.equal(logits(text_base, again, {"y": 1.0}), logits(text_base, {"x": adapter}, {"x": 1.0}))


@pytest.mark.parametrize(("one", "other"), [("lm_head", "lm_head"), ("embed_tokens", "lm_head")])
def test_a_blend_is_the_live_sum(text_base: TextBase, one: str, other: str) -> None:
    adapters = {
        name: random_adapter(text_base, name, seed=seed, parts=(LM,), targets=(target,))
        for name, seed, target in (("a", 1, one), ("b", 2, other))
    }
    weights = {"a": 0.6, "b": -0.3}
    recipe = recipe_of(inputs=[{"adapter": name, "weight": weight} for name, weight in weights.items()])
    blend, _ = blend_adapters("mix", Mixture(recipe, adapters, text_base), text_base)
    assert torch.allclose(
        logits(text_base, {"mix": blend}, {"mix": 1.0}), logits(text_base, adapters, weights), atol=1e-5
    )


def test_a_lora_of_the_words_is_not_resized(text_base: TextBase) -> None:
    adapter = random_adapter(text_base, "x", parts=(LM,), targets=("embed_tokens",))
    with pytest.raises(UserError, match="the table of words"):
        resize(adapter, Wish(rank=2), "y", text_base)
