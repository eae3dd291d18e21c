"""One recipe, two executions: the live base and the file agree, for every method, blend and kind of weight."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.attach import attached
from pipelines.blending import blend_adapters
from pipelines.deltas import DenseDelta, LowRankDelta, kind_of
from pipelines.effective import part_deltas
from pipelines.families import LoadedBase
from pipelines.generate import PictureRequest, generate
from pipelines.lineage import without
from pipelines.live import LiveRecipes, WeightSwitch
from pipelines.mixing import Mixture
from pipelines.proof import prove_blend
from pipelines.recipe import Recipe, content_hash, parse_recipe, plain_recipe, read_recipe, with_hashes, write_recipe
from pipelines.schedules import Schedule
from studio.blending import blend_into_library, needs_a_base, take_out
from studio.library import Library
from tests.support import bits, content_of, random_adapter, relative_error
from trainers.adapter import Adapter, read_adapter, write_adapter
from trainers.errors import UserError
from trainers.methods import methods

pytestmark = pytest.mark.filterwarnings("ignore:Specified to not load")  # PEFT draws VeRA's matrices again, as meant
MERGEABLE = [
    name for name, method in methods().items() if method.mergeable and "unet" in method.parts and name != "beft"
]
TINY: dict[str, dict[str, Any]] = {"fourierft": {"frequencies": 40}, "waveft": {"coefficients": 20}}


FEW = tuple(f"mid_block.attentions.0.transformer_blocks.0.{name}" for name in ("attn1.to_q", "attn2.to_v", "ff.net.2"))


def predicted(base: LoadedBase) -> Tensor:
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return base.predict(noisy, torch.tensor([900, 100]), base.encode_text(["a red boat", "sea"]))


def live(base: LoadedBase, recipe: Recipe, adapters: dict[str, Adapter]) -> Tensor:
    with LiveRecipes(base, adapters).acting(recipe, 1):
        return predicted(base)


def weighed(base: LoadedBase, adapters: dict[str, Adapter], weights: dict[str, float]) -> Tensor:
    with attached(base, adapters) as attachments:
        attachments.set_weights(weights)
        return predicted(base)


@pytest.mark.parametrize("method", MERGEABLE)
def test_the_delta_of_every_method_is_what_it_does_live(base: LoadedBase, method: str) -> None:
    few = {"targets": FEW} if "targets" in methods()[method].settings.model_fields else {}
    adapter = random_adapter(base, "a", method=method, parts=("unet",), **few, **TINY.get(method, {}))
    lora = random_adapter(base, "lora", seed=5, parts=("unet",), targets=FEW)
    adapters = {"a": adapter, "lora": lora}
    expected = weighed(base, adapters, {"a": 0.7, "lora": -0.4})
    found = live(base, plain_recipe({"a": 0.7, "lora": -0.4}), adapters)
    plain = predicted(base)
    assert relative_error(found - plain, expected - plain) < 2e-3, method


@pytest.mark.parametrize("settings", [{"targets": ("convolution",)}, {"targets": ("attention",), "rank": 3}])
@pytest.mark.parametrize("method", ["lora", "loha"])
def test_convolutions_are_read_by_impulses(base: LoadedBase, method: str, settings: dict[str, Any]) -> None:
    adapter = random_adapter(base, "a", method=method, parts=("unet",), **settings)
    expected = weighed(base, {"a": adapter}, {"a": 1.0})
    found = live(base, plain_recipe({"a": 1.0}), {"a": adapter})
    plain = predicted(base)
    assert relative_error(found - plain, expected - plain) < 1e-3


def test_lora_read_by_units_equals_lora_read_from_its_factors(base: LoadedBase) -> None:
    from pipelines.effective import effective_deltas

    part = random_adapter(base, "a", targets=("convolution", "attention"), parts=("unet",)).parts["unet"]
    by_factors = part_deltas(part, None, what="it")
    by_units = effective_deltas(base.parts["unet"], part, what="it")
    assert by_factors.keys() == by_units.keys()
    for path, delta in by_factors.items():
        assert isinstance(delta, LowRankDelta)
        assert isinstance(by_units[path], DenseDelta)
        assert relative_error(by_units[path].dense(), delta.dense()) < 1e-6, path


def recipe_of(**values: Any) -> Recipe:
    return parse_recipe(values)


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
        requests = [PictureRequest("a boat", steps=4, recipe=chosen) for chosen in (recipe, steady, recipe)]
        pictures = dict(generate(attachments, requests, recipes=recipes, batch_size=1))
    assert pictures[0].tobytes() == pictures[2].tobytes()
    assert pictures[0].tobytes() != pictures[1].tobytes()


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
    part = "unet" if "unet" in methods()[method].parts else "text_encoder"
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


@pytest.fixture
def library(base: LoadedBase, tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    for seed, (name, settings) in enumerate({"one": {"rank": 3}, "two": {"rank": 5}, "three": {"rank": 2}}.items()):
        adapter = random_adapter(base, name, seed=seed, targets=("attention",), **settings)
        card = adapter.card.model_copy(update={"triggers": (f"{name}ish",), "licence": f"L-{name}"})
        write_adapter(library.adapters_folder / name, dataclasses.replace(adapter, card=card))
    return library


def test_a_blend_keeps_parents_triggers_licences_and_recipe(library: Library) -> None:
    blend_into_library(library, {"one": 0.6, "two": -0.4}, "mix")
    blend_into_library(library, {"mix": 2.0, "three": 1.0}, "more")
    card = library.card("more")
    assert card.triggers == ("oneish", "twoish", "threeish")
    assert card.licence == "L-one AND L-two AND L-three"
    assert card.recipe is not None
    mix = card.recipe.parents[0]
    assert (mix.name, mix.hash) == ("mix", content_hash(library.read("mix")))
    assert mix.recipe is not None
    assert [(parent.name, parent.weight) for parent in mix.recipe.parents] == [("one", 0.6), ("two", -0.4)]
    recipe = read_recipe(library.find("mix") / "recipe.yaml")
    blend_into_library(library, recipe, "again")
    assert content_hash(library.read("again")) == content_hash(library.read("mix"))
    changed = random_adapter_like(library.read("one"))
    library.remove("one")
    write_adapter(library.adapters_folder / "one", changed)
    with pytest.raises(UserError, match="written for other adapters than these"):
        blend_into_library(library, recipe, "not")
    assert "not" not in library.names()


def random_adapter_like(adapter: Adapter) -> Adapter:
    parts = {
        part: dataclasses.replace(content, tensors={key: value * 2 for key, value in content.tensors.items()})
        for part, content in adapter.parts.items()
    }
    return dataclasses.replace(adapter, parts=parts)


def test_a_parent_can_be_taken_out_of_an_exact_blend_again(library: Library) -> None:
    blend_into_library(library, {"one": 0.6, "two": -0.4, "three": 1.5}, "mix")
    take_out(library, "mix", "two", "rest")
    rest, direct = library.read("rest"), {"one": 0.6, "three": 1.5}
    blend_into_library(library, direct, "direct")
    for part, content in library.read("direct").parts.items():
        expected = part_deltas(content, None, what="x")
        for path, delta in part_deltas(rest.parts[part], None, what="x").items():
            assert delta.rank == expected[path].rank
            assert relative_error(delta.dense(), expected[path].dense()) < 1e-6
    assert rest.card.triggers == ("oneish", "threeish")
    assert rest.card.licence == "L-one AND L-three"
    kept = without(rest, "one", "last")
    assert [parent.name for parent in kept.card.recipe.parents] == ["three"]  # type: ignore[union-attr]
    for adapter, parent, said in (
        (kept, "three", "only parent"),
        (rest, "two", "Parent 'two' is unknown"),
        (library.read("one"), "x", "is no blend"),
    ):
        with pytest.raises(UserError, match=said):
            without(adapter, parent, "x")
    blend_into_library(library, plain_recipe({"one": 0.5, "two": 0.5}, "svd", rank=3), "small")
    with pytest.raises(UserError, match="cannot be told apart"):
        take_out(library, "small", "one", "never")
    tampered = dataclasses.replace(rest, parts=library.read("mix").parts)
    with pytest.raises(UserError, match="changed after blending"):
        without(tampered, "one", "x")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_lower_number_formats_say_what_they_lose(library: Library, dtype: str) -> None:
    recipe = recipe_of(dtype=dtype, inputs=[{"adapter": "one"}, {"adapter": "two"}])
    folder, proof = blend_into_library(library, recipe, "mix")
    assert 1e-5 < proof.error < proof.tolerance
    assert proof.worst is not None
    assert proof.worst.rounding == pytest.approx(proof.worst.error)
    assert {t.dtype for p in read_adapter(folder).parts.values() for t in p.tensors.values()} == {getattr(torch, dtype)}


def test_a_size_in_megabytes_is_that_of_the_files(library: Library) -> None:
    for size_mb in (0.03, 0.06):
        recipe = plain_recipe({"one": 0.6, "two": 0.4}, "svd", size_mb=size_mb)
        folder, proof = blend_into_library(library, recipe, f"m{int(size_mb * 1000)}")
        size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
        assert 0.7 * size_mb * 1e6 < size <= size_mb * 1e6
        assert proof.energy == pytest.approx(1 - proof.error**2, abs=1e-6)


def test_mixed_kinds_are_written_whole_or_as_factors_and_say_so(base: LoadedBase, library: Library) -> None:
    for method in ("partial", "ia3", "loha"):
        few = {"targets": FEW} if method != "partial" else {}
        adapter = random_adapter(base, method, method=method, parts=("unet",), seed=9, size=0.05, **few)
        write_adapter(library.adapters_folder / method, adapter)
        recipe = plain_recipe({"one": 0.5, method: 0.5})
        assert needs_a_base(library, recipe)
        blend_into_library(library, recipe, f"whole-{method}", base=base)
        whole = library.read(f"whole-{method}")
        assert kind_of(whole.parts["unet"]) == "STUDIO_DELTA"
        assert kind_of(whole.parts["text_encoder"]) == "LORA"
        both = weighed(base, {name: library.read(name) for name in ("one", method)}, {"one": 0.5, method: 0.5})
        plain = predicted(base)
        assert relative_error(weighed(base, {"w": whole}, {"w": 1.0}) - plain, both - plain) < 2e-3
        factors = recipe.model_copy(update={"file": "lora"})
        if method == "loha":
            blend_into_library(library, factors, "factors", base=base)
            assert (
                relative_error(weighed(base, {"f": library.read("factors")}, {"f": 1.0}) - plain, both - plain) < 2e-3
            )
        else:
            before = content_of(library.folder)
            with pytest.raises(UserError, match="which a LoRA does not reach"):
                blend_into_library(library, factors, "factors-not", base=base)
            assert content_of(library.folder) == before
    with pytest.raises(UserError, match="the base is needed"):
        blend_into_library(library, plain_recipe({"one": 1.0}, "ties"), "ties")
    assert not needs_a_base(library, plain_recipe({"one": 1.0}))


def test_recipes_come_back_from_their_files(tmp_path: Path, base: LoadedBase) -> None:
    adapters = {"a": random_adapter(base, "a")}
    recipe = with_hashes(
        recipe_of(
            blend="ties",
            settings={"density": 0.4},
            inputs=[{"adapter": "a", "weight": -0.5, "blocks": [1] * 26, "schedule": {"stop": 0.5}}],
        ),
        adapters,
    )
    for name in ("r.yaml", "r.json"):
        write_recipe(tmp_path / name, recipe)
        assert read_recipe(tmp_path / name) == recipe
    assert len(recipe.inputs[0].hash) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inputs: []", "inputs = \\[\\]: should hold at least one adapter"),
        ("blend: exakt\ninputs: [{adapter: a}]", "Did you mean 'exact'"),
        ("inputs: [{adapter: a, wieght: 1}]", "wieght"),
        ("inputs: [{adapter: a}, {adapter: a}]", "given twice"),
        ("inputs: [{adapter: a, weight: 0}]", "Every weight is 0"),
        ("inputs: [{adapter: a, blocks: [1, 2, 3]}]", "3 block weights"),
        ("blend: block\ninputs: [{adapter: a}]", "needs weights by block"),
        ("inputs: [{adapter: a, weight: .nan}]", "finite"),
        ("inputs: [{adapter", "cannot be read"),
        ("dtype: float8\ninputs: [{adapter: a}]", "float32"),
    ],
)
def test_a_broken_recipe_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        read_recipe(tmp_path / "r.yaml")
    with pytest.raises(UserError, match="does not exist"):
        read_recipe(tmp_path / "none.yaml")


def test_parts_and_bases_that_do_not_fit_the_recipe_are_refused(base: LoadedBase) -> None:
    adapters = {"a": random_adapter(base, "a")}
    with pytest.raises(UserError, match="parts that no input has"):
        Mixture(recipe_of(inputs=[{"adapter": "a", "parts": {"unett": 1}}]), adapters)
    with pytest.raises(UserError, match="written for the base"):
        Mixture(recipe_of(base="f" * 64, inputs=[{"adapter": "a"}]), adapters)
    Mixture(recipe_of(base=base.fingerprint, inputs=[{"adapter": "a"}]), adapters, base)
