"""Learned tokens, ZipLoRA's columns, and what cannot be blended with the reason why."""

from pathlib import Path

import pytest
import torch

from pipelines.blending import blend_adapters
from pipelines.deltas import LowRankDelta
from pipelines.families import LoadedBase
from pipelines.mixing import Mixture
from pipelines.recipe import plain_recipe
from tests.pipelines.blends.support import FEW, live, recipe_of, weighed
from tests.support import random_adapter, relative_error
from trainers.adapter import read_adapter, write_adapter
from trainers.errors import UserError
from trainers.methods import methods


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_learned_tokens_are_joined_or_averaged(base: LoadedBase, tmp_path: Path, method: str) -> None:
    adapters = {
        name: random_adapter(base, name, seed=seed, method=method, parts=("unet",))
        for seed, name in ((1, "a"), (2, "b"))
    }
    tensors = {name: adapter.parts["unet"].tensors for name, adapter in adapters.items()}
    inputs = [{"adapter": "a"}, {"adapter": "b"}]
    joined, _ = blend_adapters("mix", Mixture(recipe_of(blend="concatenate", inputs=inputs), adapters))
    for key, tensor in joined.parts["unet"].tensors.items():
        assert torch.equal(tensor, torch.cat([tensors["a"][key], tensors["b"][key]]))
    both = weighed(base, adapters, {"a": 1.0, "b": 1.0})
    write_adapter(tmp_path / "mix", joined)
    assert relative_error(weighed(base, {"mix": read_adapter(tmp_path / "mix")}, {"mix": 1.0}), both) < 1e-5
    assert relative_error(live(base, recipe_of(blend="concatenate", inputs=inputs), adapters), both) < 1e-5
    shares = [{"adapter": "a", "weight": 0.3}, {"adapter": "b", "weight": 0.7}]
    mean, _ = blend_adapters("mix", Mixture(recipe_of(blend="interpolate", inputs=shares), adapters))
    for key, tensor in mean.parts["unet"].tensors.items():
        assert torch.allclose(tensor, 0.3 * tensors["a"][key] + 0.7 * tensors["b"][key], atol=1e-6)
    with pytest.raises(UserError, match="holds learned tokens, not deltas"):
        Mixture(plain_recipe({"a": 1.0}), adapters)
    with pytest.raises(UserError, match=r"weights of 1 and not 0\.3, 0\.7"):
        Mixture(recipe_of(blend="concatenate", inputs=shares), adapters)
    longer = random_adapter(base, "b", method=method, parts=("unet",), length=3)
    with pytest.raises(UserError, match="cannot be averaged"):
        Mixture(recipe_of(blend="interpolate", inputs=shares), {**adapters, "b": longer})


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("houlsby", "a small network"),
        ("unipelt", "a small network"),
        ("prefix_tuning", "not deltas"),
        ("textual_inversion", "a new word"),
    ],
)
def test_what_cannot_be_blended_says_why(base: LoadedBase, method: str, said: str) -> None:
    part = "unet" if methods()[method].fits("unet") else "text_encoder"
    adapters = {"a": random_adapter(base, "a", method=method, parts=(part,))}
    with pytest.raises(UserError, match=said):
        Mixture(plain_recipe({"a": 1.0}), adapters, base)


def test_a_bias_that_the_base_lacks_has_no_place(base: LoadedBase) -> None:
    adapters = {"a": random_adapter(base, "a", method="beft", parts=("unet",), targets=FEW)}
    mixture = Mixture(plain_recipe({"a": 1.0}), adapters, base)
    with pytest.raises(UserError, match="its layer has no bias"):
        live(base, plain_recipe({"a": 1.0}), adapters)
    with pytest.raises(UserError, match=r"base lacks tensors(.|\n)*to_q\.bias"):
        blend_adapters("mix", mixture, base)


def test_ziplora_learns_columns_in_factor_form(base: LoadedBase) -> None:
    adapters = {
        "one": random_adapter(base, "one", rank=2, size=0.3),
        "two": random_adapter(base, "two", seed=2, rank=2, size=0.3),
    }
    settings = {"steps": 8, "pictures": 1, "sampling_steps": 2, "learning_rate": 0.05}
    recipe = recipe_of(
        blend="ziplora", settings=settings, inputs=[{"adapter": "one"}, {"adapter": "two", "weight": 0.8}]
    )
    told: list[tuple[int, int]] = []
    mixture = Mixture(recipe, adapters, base, on_step=lambda done, total: told.append((done, total)))
    again = Mixture(recipe, adapters, base)
    assert told == [(step, 8) for step in range(1, 9)]
    start = Mixture(plain_recipe({"one": 1.0, "two": 0.8}), adapters).at().deltas
    moved = 0
    for address, delta in mixture.at().deltas.items():
        assert isinstance(delta, LowRankDelta)
        assert delta.rank == 4
        assert torch.equal(delta.down, again.at().deltas[address].down)  # a function of its seed
        begun = start[address]
        assert isinstance(begun, LowRankDelta)
        assert torch.equal(delta.up, begun.up)
        factors = delta.down / begun.down
        columns = factors.unflatten(0, (2, 2)).mean(1, keepdim=True)  # one number per column and adapter
        assert torch.allclose(factors.unflatten(0, (2, 2)), columns.expand(2, 2, *factors.shape[1:]), atol=1e-5)
        moved += int(not torch.allclose(factors, torch.ones_like(factors)))
        assert address[0] == "unet" or torch.equal(delta.down, begun.down)
    assert moved == sum(part == "unet" for part, _ in start)
