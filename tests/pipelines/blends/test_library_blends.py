"""Blends in the library: parents, triggers and licences kept, parents taken out, number formats and sizes."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pipelines.deltas import kind_of
from pipelines.effective import part_deltas
from pipelines.families import LoadedBase
from pipelines.lineage import without
from pipelines.recipe import content_hash, plain_recipe, read_recipe
from studio.library.library import Library
from studio.operations.blend import blend_into_library, needs_a_base, take_out
from tests.pipelines.blends.support import FEW, predicted, recipe_of, weighed
from tests.support import content_of, random_adapter, relative_error
from trainers.adapter import Adapter, read_adapter, write_adapter
from trainers.errors import UserError


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
