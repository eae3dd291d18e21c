"""Recipes on a loaded base: what the file does, no trace left, weights by part and block, and schedules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.attach import attached
from pipelines.blending import blend_adapters
from pipelines.deltas import DenseDelta
from pipelines.effective import part_deltas
from pipelines.families import LoadedBase
from pipelines.generate import ImageRequest, generate
from pipelines.live import LiveRecipes, WeightSwitch
from pipelines.mixing import Mixture
from pipelines.proof import prove_blend
from pipelines.recipe import plain_recipe
from pipelines.schedules import Schedule
from tests.pipelines.blends.support import live, predicted, recipe_of, weighed
from tests.support import bits, random_adapter, relative_error
from trainers.adapter import read_adapter, write_adapter
from trainers.errors import UserError

RECIPES: dict[str, dict[str, Any]] = {
    "exact": {},
    "svd": {"settings": {"rank": 6}},
    "ties": {"settings": {"density": 0.4}},
    "dare": {"seed": 3},
    "breadcrumbs": {"settings": {"rank": 5}},
    "slerp": {},
    "block": {},
}


@pytest.mark.parametrize("blend", sorted(RECIPES))
def test_the_file_draws_what_the_live_recipe_draws(base: LoadedBase, tmp_path: Path, blend: str) -> None:
    adapters = {"one": random_adapter(base, "one", rank=3), "two": random_adapter(base, "two", seed=2, rank=5)}
    blocks = {"down_blocks.0": 0.5, "mid_block": 0, "default": 1} if blend == "block" else None
    second = 0.4 if blend == "slerp" else -0.4
    inputs = [
        {"adapter": "one", "weight": 0.6, "parts": {"text_encoder": 0.5}, "blocks": blocks},
        {"adapter": "two", "weight": second},
    ]
    recipe = recipe_of(blend=blend, inputs=inputs, **RECIPES[blend])
    mixture = Mixture(recipe, adapters, base)
    adapter, mixed = blend_adapters("mix", mixture, base)
    write_adapter(tmp_path / "mix", adapter)
    written = read_adapter(tmp_path / "mix")
    proof = prove_blend(written, mixture, mixed, base.parts)
    assert proof.unmatched == ()
    assert (proof.from_sum > 0.05) == (blend not in ("exact", "block"))
    plain = predicted(base)
    from_file, from_recipe = weighed(base, {"mix": written}, {"mix": 1.0}), live(base, recipe, adapters)
    assert relative_error(from_file - plain, from_recipe - plain) < 1e-4
    assert relative_error(plain, from_recipe) > 1e-3


def test_weights_by_part_and_block_scale_the_layers_that_they_name(base: LoadedBase) -> None:
    adapter = random_adapter(base, "one", rank=3)
    plain = {(p, k): d for p, c in adapter.parts.items() for k, d in part_deltas(c, None, what="x").items()}
    item = {
        "adapter": "one",
        "weight": 2.0,
        "parts": {"text_encoder": 0.25},
        "blocks": {"M00": 3.0, "up_blocks.1": 0.0, "BASE": 1.0, "default": 0.5},
    }
    found = Mixture(recipe_of(blend="block", inputs=[item]), {"one": adapter}).at().deltas
    for (part, path), delta in plain.items():
        factor = 2.0 * (0.25 if part == "text_encoder" else 3.0 if "mid_block" in path else 0.5)
        if "up_blocks.1" in path:
            assert (part, path) not in found
        else:
            assert torch.allclose(found[part, path].dense(), delta.dense() * factor, atol=1e-12), path


def test_a_live_recipe_leaves_no_trace_and_switching_never_subtracts(base: LoadedBase) -> None:
    module = base.parts["unet"]
    weight = next(p for n, p in module.named_parameters() if n.endswith("to_q.weight"))
    path = next(n for n, _ in module.named_parameters() if n.endswith("to_q.weight")).removesuffix(".weight")
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(kept.bfloat16())  # a weight as a low precision holds it
    rounded = weight.detach().clone()
    big = DenseDelta(torch.full(weight.shape, 1e4, dtype=torch.float64))
    small = DenseDelta(torch.full(weight.shape, 1e-3, dtype=torch.float64))
    naive = (rounded.bfloat16() + big.value.bfloat16()) - big.value.bfloat16()
    assert not torch.equal(naive.float(), rounded)  # what subtraction would leave
    switch = WeightSwitch(base)
    switch.set({("unet", path): big})
    switch.set({("unet", path): small})
    assert torch.equal(weight, (rounded.double() + small.value).float())
    switch.set({})
    assert torch.equal(weight, rounded)
    switch.restore()
    with torch.no_grad():
        weight.copy_(kept)


def test_a_delta_that_does_not_fit_leaves_the_base_as_it_was(base: LoadedBase) -> None:
    path = next(n for n, _ in base.parts["unet"].named_parameters() if n.endswith("to_q.weight")).removesuffix(
        ".weight"
    )
    fits = DenseDelta(torch.ones_like(base.parts["unet"].get_submodule(path).weight).double())
    before = bits(base.parts["unet"].state_dict())
    for wrong in (("unet", "nowhere"), ("unet", path.replace("to_q", "to_out.0"))):
        with pytest.raises(UserError, match="does not fit the base"):
            WeightSwitch(base).set({("unet", path): fits, wrong: DenseDelta(torch.ones(2, 2).double())})
        assert bits(base.parts["unet"].state_dict()) == before


def test_weight_zero_is_the_base_bit_for_bit(base: LoadedBase) -> None:
    adapters = {"one": random_adapter(base, "one"), "two": random_adapter(base, "two", seed=2)}
    blocks = {"default": 0.0}
    nothing = recipe_of(blend="block", inputs=[{"adapter": "one", "blocks": blocks}])
    with pytest.raises(UserError, match="touches no layer"):
        Mixture(nothing, adapters)
    off = recipe_of(inputs=[{"adapter": "one", "schedule": {"start": 0.5}}])
    plain = predicted(base)
    recipes = LiveRecipes(base, adapters)
    with recipes.acting(off, 2) as after_step:
        # The text encoder ran once, before the steps, so its part of the adapter acts; the UNet's does not yet.
        only_text = recipe_of(inputs=[{"adapter": "one", "parts": {"unet": 0}}])
        early = predicted(base)
        after_step(1)
        late = predicted(base)
    with recipes.acting(only_text, 1):
        assert torch.equal(predicted(base), early)
    assert torch.equal(live(base, plain_recipe({"one": 1.0}), adapters), late)
    assert torch.equal(predicted(base), plain)


def test_schedules_run_from_start_to_stop() -> None:
    half = Schedule(start=0.25, stop=0.75)
    assert [half.factor(step, 4) for step in range(4)] == [0.0, 1.0, 1.0, 0.0]
    ramp = Schedule(first=0.0, last=1.0)
    assert [ramp.factor(step, 5) for step in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    cosine = [Schedule(first=1.0, last=0.0, shape="cosine").factor(step, 5) for step in range(5)]
    assert cosine == pytest.approx([(1 + np.cos(np.pi * share)) / 2 for share in (0, 0.25, 0.5, 0.75, 1)])
    with pytest.raises(UserError, match="would never act"):
        Schedule(start=0.6, stop=0.7).factor(0, 2)
    with pytest.raises(UserError, match="before stop"):
        recipe_of(inputs=[{"adapter": "a", "schedule": {"start": 0.5, "stop": 0.5}}])


@pytest.mark.parametrize("blend", ["switch", "klora", "exact"])
def test_what_changes_with_the_step_is_drawn_live_and_has_no_file(base: LoadedBase, blend: str) -> None:
    adapters = {"one": random_adapter(base, "one", size=0.4), "two": random_adapter(base, "two", seed=2, size=0.4)}
    first: dict[str, Any] = {"adapter": "one"} | ({"schedule": {"stop": 0.5}} if blend == "exact" else {})
    recipe = recipe_of(blend=blend, inputs=[first, {"adapter": "two"}])
    with pytest.raises(UserError, match="one set of weights"):
        blend_adapters("mix", Mixture(recipe, adapters, base), base)
    recipes = LiveRecipes(base, adapters)
    steady = plain_recipe({"one": 1.0, "two": 1.0})
    with attached(base, {}) as attachments:
        requests = [ImageRequest("a boat", num_inference_steps=4, recipe=chosen) for chosen in (recipe, steady, recipe)]
        pictures = dict(generate(attachments, requests, recipes=recipes, batch_size=1))
    assert pictures[0].tobytes() == pictures[2].tobytes()
    assert pictures[0].tobytes() != pictures[1].tobytes()
