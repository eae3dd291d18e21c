"""The exact blend against the dense float64 sum, for any ranks, scales, patterns, signs and shapes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from pipelines.attach import attached
from pipelines.blending import blend_adapters
from pipelines.blends import find_blend
from pipelines.deltas import LowRankDelta, lora_part, read_deltas
from pipelines.families import LoadedBase
from pipelines.generate import ImageRequest, generate
from pipelines.mixing import Mixture
from pipelines.proof import TOLERANCES, prove_blend
from pipelines.recipe import plain_recipe
from studio.library.library import Library
from studio.operations.blend import blend_into_library
from tests.support import bits, content_of, random_adapter, relative_error
from trainers.adapter import Adapter, AdapterPart, read_adapter, write_adapter
from trainers.card import AdapterCard, BaseCard, PartCard
from trainers.errors import UserError

LAYERS = {
    "down.0.to_q": (6, 5, 1),
    "down.10.to_q": (6, 5, 1),
    "mid.to_out.0": (4, 7, 1),
    "mid.conv1": (5, 3, 3),
    "to_q": (3, 3, 1),
}
"""Path -> output width, input width, kernel; one path is the end of others, as readers of patterns must not confuse."""


def dense_sum(configs: list[tuple[AdapterPart, float]]) -> dict[str, Tensor]:
    """W's change by the formula alone: numpy, float64, straight from the files' tensors and config."""
    total: dict[str, Any] = {}
    for part, weight in configs:
        config = part.config
        for key, down in part.tensors.items():
            if ".lora_A." not in key:
                continue
            path = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            up = part.tensors[key.replace("lora_A", "lora_B")].double().numpy()
            rank = down.shape[0]
            alpha = config["alpha_pattern"].get(path, config["lora_alpha"])
            scale = alpha / (rank**0.5 if config["use_rslora"] else rank)
            product = up.reshape(up.shape[0], rank) @ down.double().numpy().reshape(rank, -1)
            product = product.reshape(up.shape[0], *down.shape[1:]) * scale * weight
            total[path] = total.get(path, 0.0) + product
    return {path: torch.from_numpy(np.asarray(value)) for path, value in total.items()}


@st.composite
def lora_parts(draw: st.DrawFn) -> AdapterPart:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    layers = draw(st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, unique=True))
    size = draw(st.sampled_from([1e-4, 0.1, 30.0]))
    ranks = {path: draw(st.integers(1, 9)) for path in layers}
    alphas = {path: draw(st.floats(0.1, 64)) for path in layers if draw(st.booleans())}
    tensors: dict[str, Tensor] = {}
    for path, rank in ranks.items():
        wide, narrow, kernel = LAYERS[path]
        down = (rank, narrow, kernel, kernel) if kernel > 1 else (rank, narrow)
        up = (wide, rank, 1, 1) if kernel > 1 else (wide, rank)
        tensors[f"base_model.model.{path}.lora_A.weight"] = torch.randn(down, generator=generator) * size
        tensors[f"base_model.model.{path}.lora_B.weight"] = torch.randn(up, generator=generator)
    config = {
        "peft_type": "LORA",
        "r": max(ranks.values()),
        "lora_alpha": draw(st.sampled_from([0.5, 1, 8, 32.0])),
        "rank_pattern": ranks,
        # Longest first: the first key that ends a path wins, in PEFT as here.
        "alpha_pattern": dict(sorted(alphas.items(), key=lambda item: -len(item[0]))),
        "use_rslora": draw(st.booleans()),
        "target_modules": layers,
    }
    if "to_q" in alphas:  # PEFT would also use it for the longer paths that lack their own
        for path in layers:
            if path.endswith(".to_q"):
                config["alpha_pattern"] = {path: alphas.get(path, alphas["to_q"]), **config["alpha_pattern"]}
    return AdapterPart(config, tensors)


def adapter_of(name: str, part: AdapterPart) -> Adapter:
    base = BaseCard(name="b", family="sd1", fingerprint="f", widths={"w": 1})
    card = AdapterCard(name=name, base=base, parts={"unet": PartCard(method="lora")})
    return Adapter(card, {"unet": part}, {})


Parents = list[tuple[Adapter, float]]


def mixture_of(parents: Parents) -> Mixture:
    adapters = {adapter.card.name: adapter for adapter, _ in parents}
    return Mixture(plain_recipe({adapter.card.name: weight for adapter, weight in parents}), adapters)


def blended(parents: Parents) -> Adapter:
    return blend_adapters("mix", mixture_of(parents))[0]


WEIGHTS = st.floats(-3, 3).filter(lambda weight: weight == 0 or abs(weight) > 1e-3)


@given(parents=st.lists(st.tuples(lora_parts(), WEIGHTS), min_size=1, max_size=4))
@hypothesis_settings(max_examples=60)
def test_the_written_blend_equals_the_dense_float64_sum(
    parents: list[tuple[AdapterPart, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    used = [(part, weight) for part, weight in parents if weight]
    adapters = [(adapter_of(f"a{n}", part), weight) for n, (part, weight) in enumerate(parents)]
    if not used:
        with pytest.raises(UserError, match="Every weight is 0"):
            blended(adapters)
        return
    folder = tmp_path_factory.mktemp("blend") / "mix"
    mixture = mixture_of(adapters)
    blend, mixed = blend_adapters("mix", mixture)
    write_adapter(folder, blend)
    written = read_adapter(folder)
    found = {path: delta.dense() for path, delta in read_deltas(written.parts["unet"], what="mix").items()}
    expected = dense_sum(used)
    assert found.keys() == expected.keys()
    alone = [dense_sum([item]) for item in used]
    for path, exact in expected.items():
        summands = sum(float(layers[path].norm()) for layers in alone if path in layers)
        assert float((found[path] - exact).norm()) <= 1e-6 * summands, path
        rank = sum(part.tensors[f"base_model.model.{path}.lora_A.weight"].shape[0]
                   for part, _ in used if f"base_model.model.{path}.lora_A.weight" in part.tensors)  # fmt: skip
        assert written.parts["unet"].tensors[f"base_model.model.{path}.lora_A.weight"].shape[0] == rank
    proof = prove_blend(written, mixture, mixed)
    assert max(layer.error for layer in proof.layers) <= 1e-6 < TOLERANCES["float32"]


@given(parents=st.lists(st.tuples(lora_parts(), WEIGHTS.filter(bool)), min_size=2, max_size=3))
@hypothesis_settings(max_examples=20)
def test_the_order_of_the_inputs_does_not_matter(parents: list[tuple[AdapterPart, float]]) -> None:
    results = []
    for order in [range(len(parents)), range(len(parents) - 1, -1, -1)]:
        chosen = [(adapter_of(f"a{n}", parents[n][0]), parents[n][1]) for n in order]
        results.append(bits(blended(chosen).parts["unet"].tensors))
    assert results[0] == results[1]


def test_an_input_at_weight_zero_takes_no_room(base: LoadedBase) -> None:
    first, second = random_adapter(base, "one", rank=3), random_adapter(base, "two", rank=5, seed=2)
    with_zero = blended([(first, 0.5), (second, 0.0)])
    alone = blended([(first, 0.5)])
    for part, content in alone.parts.items():
        assert bits(with_zero.parts[part].tensors) == bits(content.tensors)
    assert with_zero.card.recipe is not None
    assert [parent.name for parent in with_zero.card.recipe.parents] == ["one"]


def test_adding_factors_instead_of_deltas_would_be_noticed(base: LoadedBase) -> None:
    parents = [(random_adapter(base, "one", seed=1), 0.6), (random_adapter(base, "two", seed=2), 0.4)]
    wrong_parts = {}
    for part in parents[0][0].parts:
        contents = [(adapter.parts[part], weight) for adapter, weight in parents]
        tensors = {key: sum(c.tensors[key] * w for c, w in contents) for key in contents[0][0].tensors}
        wrong_parts[part] = AdapterPart(contents[0][0].config, tensors)
    wrong = dataclasses.replace(parents[0][0], parts=wrong_parts)
    mixture = mixture_of(parents)
    with pytest.raises(UserError, match="further from the formula") as refused:
        prove_blend(wrong, mixture, mixture.at())
    layers = sum(len(part.tensors) // 2 for part in parents[0][0].parts.values())
    assert f"{layers} layers are further" in str(refused.value)


@pytest.fixture
def library(base: LoadedBase, tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    for seed, (name, settings) in enumerate(
        {"one": {"rank": 3, "alpha": 7.0}, "two": {"rank_stabilised": True}}.items()
    ):
        write_adapter(library.adapters_folder / name, random_adapter(base, name, seed=seed, **settings))
    return library


def test_a_blend_in_the_library_is_proved_and_told_by_layer(library: Library, base: LoadedBase) -> None:
    folder, proof = blend_into_library(library, {"one": 0.6, "two": -0.4}, "mix", base=base)
    proofs = proof.layers
    assert (proof.matched, proof.unmatched, proof.one_sided, proof.emptied) == (len(proofs), (), 0, 0)
    assert proof.energy == pytest.approx(1, abs=1e-6)
    assert folder == library.find("mix")
    assert len(proofs) == sum(len(part.tensors) // 2 for part in library.read("one").parts.values())
    assert all(0 < proof.error < 1e-6 for proof in proofs)
    assert {proof.rank for proof in proofs if proof.part == "unet"} == {3 + 16}
    assert sorted(path.name for path in folder.iterdir()) == ["adapter.json", "recipe.yaml", "text_encoder", "unet"]


@pytest.mark.parametrize("how", ["value", "layer", "part", "scale", "shape"])
def test_a_file_that_is_not_the_sum_fails_the_proof_and_nothing_stays(
    library: Library, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    import studio.operations.blend

    honest = studio.operations.blend.write_adapter

    def tampered(folder: Path, adapter: Adapter) -> None:
        parts = {part: AdapterPart(dict(c.config), dict(c.tensors)) for part, c in adapter.parts.items()}
        config, tensors = parts["unet"].config, parts["unet"].tensors
        keys = [key for key in tensors if "lora_A" in key]
        if how == "value":
            tensors[keys[0]] = tensors[keys[0]] * 1.001
        elif how == "layer":
            del tensors[keys[0]], tensors[keys[0].replace("lora_A", "lora_B")]
        elif how == "part":
            del parts["unet"]
        elif how == "scale":
            config["lora_alpha"] = 2 * config["lora_alpha"]
        else:
            tensors[keys[0]] = tensors[keys[0]][:, 1:]
        card = adapter.card.model_copy(update={"parts": {part: adapter.card.parts[part] for part in parts}})
        honest(folder, dataclasses.replace(adapter, card=card, parts=parts))

    monkeypatch.setattr(studio.operations.blend, "write_adapter", tampered)
    before = content_of(library.folder)
    with pytest.raises(UserError, match="mix"):
        blend_into_library(library, {"one": 0.6, "two": -0.4}, "mix")
    assert content_of(library.folder) == before


def test_adapters_of_different_bases_and_other_methods_cannot_be_blended(base: LoadedBase) -> None:
    first, second = random_adapter(base, "one"), random_adapter(base, "two")
    foreign = second.card.base.model_copy(update={"name": "other", "widths": {"text_width": 1}})
    second = dataclasses.replace(second, card=second.card.model_copy(update={"base": foreign}))
    with pytest.raises(UserError, match=r"'one' belongs to the base .* and 'two' to 'other'"):
        blended([(first, 1.0), (second, 1.0)])
    for change in ({"use_dora": True}, {"peft_type": "LOHA"}):
        part = AdapterPart({**first.parts["unet"].config, **change}, first.parts["unet"].tensors)
        with pytest.raises(UserError, match="only known against a base"):
            blended([(dataclasses.replace(first, parts={"unet": part}), 1.0)])
    tensors = {**first.parts["unet"].tensors, "base_model.model.x.lora_B.bias": torch.ones(2)}
    part = AdapterPart(first.parts["unet"].config, tensors)
    with pytest.raises(UserError, match=r"x\.lora_B\.bias"):
        read_deltas(part, what="it")
    with pytest.raises(UserError, match="Did you mean 'exact'"):
        find_blend("exakt")


def test_generating_with_the_blend_equals_generating_with_both(library: Library, base: LoadedBase) -> None:
    blend_into_library(library, {"one": 0.6, "two": -0.4}, "mix")
    adapters = {name: library.read(name) for name in ("one", "two", "mix")}
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    def look(weights: dict[str, float]) -> tuple[Tensor, Any]:
        with attached(base, adapters) as attachments, torch.no_grad():
            attachments.set_weights(weights)
            text = base.encode_text(["a red boat", "sea"])
            predicted = base.predict(noisy, torch.tensor([900, 100]), text)
            request = ImageRequest("a red boat", seed=2, num_inference_steps=4, weights=weights)
            pictures = dict(generate(attachments, [request]))
        return predicted, np.asarray(pictures[0], dtype=np.int16)

    both, blend, plain = look({"one": 0.6, "two": -0.4}), look({"mix": 1.0}), look({})
    assert relative_error(blend[0], both[0]) < 1e-4
    assert relative_error(plain[0], both[0]) > 1e-2
    assert np.abs(blend[1] - both[1]).max() <= 1
    assert np.abs(plain[1] - both[1]).max() > 3


def test_factors_are_balanced_so_that_half_precision_keeps_its_range() -> None:
    delta = LowRankDelta(torch.full((4, 2), 1e6, dtype=torch.float64), torch.full((2, 3), 1e-6, dtype=torch.float64))
    part = lora_part({"x": delta}, torch.float16)
    assert relative_error(read_deltas(part, what="x")["x"].dense(), delta.dense()) < 1e-2


def test_an_all_zero_adapter_blends_to_zero() -> None:
    delta = LowRankDelta(torch.zeros(4, 2, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64))
    assert float(read_deltas(lora_part({"x": delta}), what="x")["x"].dense().abs().sum()) == 0.0
