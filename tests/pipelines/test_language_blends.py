"""Blends, recipes and merged models of language-model adapters, also where layers are stored transposed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.attach import attached
from pipelines.bases import load_text_base, quiet_libraries
from pipelines.exporting import take_out
from pipelines.families import TextBase
from pipelines.live import LiveRecipes
from pipelines.recipe import plain_recipe
from studio.cli.main import main
from studio.library.library import Library
from studio.operations.blend import blend_into_library
from tests.support import random_adapter
from trainers.adapter import Adapter, write_adapter
from trainers.errors import UserError

IDS = torch.tensor([[0, 4, 20, 30, 5, 77]])


@pytest.fixture(scope="module")
def folders(tiny_language: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Llama, and a GPT-2 whose embeddings are tied and whose files lack the first level of names."""
    from safetensors.torch import load_file, save_file
    from transformers import GPT2Config, GPT2LMHeadModel

    from pipelines.families._tiny import write_chat_tokenizer

    folder = tmp_path_factory.mktemp("bases") / "gpt2"
    size = write_chat_tokenizer(folder)
    torch.manual_seed(0)
    tokens = {"vocab_size": size, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    with quiet_libraries():
        GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **tokens)).save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = {key.removeprefix("transformer."): value for key, value in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})
    return {"llama": tiny_language, "gpt2": folder}


@pytest.fixture(params=["llama", "gpt2"])
def any_base(request: pytest.FixtureRequest, folders: dict[str, Path]) -> TextBase:
    return load_text_base(str(folders[request.param]), device="cpu")


def two(base: TextBase, method: str = "lora") -> dict[str, Adapter]:
    return {
        name: random_adapter(base, name, parts=("language_model",), seed=seed, size=0.3, method=method)
        for seed, name in enumerate(("one", "two"))
    }


@torch.no_grad()
def logits(base: TextBase) -> Any:
    return base.model(input_ids=IDS).logits.clone()


def live(base: TextBase, adapters: dict[str, Adapter], weights: dict[str, float]) -> Any:
    with attached(base, adapters) as attachments:
        attachments.set_weights(weights)
        return logits(base)


def test_weights_a_recipe_a_blended_file_and_a_merged_model_do_the_same(
    any_base: TextBase, folders: dict[str, Path], tmp_path: Path
) -> None:
    library, weights = Library(tmp_path / "library"), {"one": 0.7, "two": -0.4}
    adapters = two(any_base)
    for name, adapter in adapters.items():
        write_adapter(library.adapters_folder / name, adapter)
    plain, expected = logits(any_base), live(any_base, adapters, weights)
    assert not torch.allclose(plain, expected, atol=1e-2)

    recipe = plain_recipe(weights)
    with LiveRecipes(any_base, adapters).acting(recipe, 1):
        assert torch.allclose(logits(any_base), expected, atol=1e-4)
    assert torch.equal(logits(any_base), plain)

    _, proof = blend_into_library(library, recipe, "mix", base=any_base)
    assert proof.error < 1e-6
    assert proof.unmatched == ()
    mixed = library.read("mix")
    assert torch.allclose(live(any_base, {"mix": mixed}, {"mix": 1.0}), expected, atol=1e-4)

    source = next(folder for folder in folders.values() if folder.name == any_base.name)
    take_out(mixed, "language_model_folder", tmp_path / "merged", base=any_base, base_folder=source)
    merged = load_text_base(str(tmp_path / "merged"), device="cpu")
    assert torch.allclose(logits(merged), expected, atol=1e-4)
    assert merged.tokenizer.chat_template == any_base.tokenizer.chat_template
    assert merged.fingerprint != any_base.fingerprint
    take_out(mixed, "language_model_folder", tmp_path / "half", base=any_base, base_folder=source, precision="bf16")
    half = load_text_base(str(tmp_path / "half"), device="cpu", precision="bf16")
    assert torch.allclose(logits(half).float(), expected, atol=0.2)


def test_what_transposed_layers_cannot_take_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    base = load_text_base(str(folders["gpt2"]), device="cpu")
    plain = logits(base)
    library, adapters = Library(tmp_path / "library"), two(base)
    for name, adapter in adapters.items():
        write_adapter(library.adapters_folder / name, adapter)
    ties = plain_recipe({"one": 0.5, "two": 0.5}, "ties", density=0.5)
    with pytest.raises(UserError, match="stored transposed"), LiveRecipes(base, adapters).acting(ties, 1):
        pass
    assert torch.equal(logits(base), plain)
    with pytest.raises(UserError, match="stored transposed"):
        blend_into_library(library, ties, "tied", base=base)
    assert library.names() == ["one", "two"]


def test_other_blends_of_a_llama_are_proved_against_the_base(text_base: TextBase, tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    for method, names in (("dora", ("a", "b")), ("ia3", ("c", "d"))):
        for name, adapter in zip(names, two(text_base, method).values(), strict=True):
            write_adapter(library.adapters_folder / name, adapter)
        weights = dict.fromkeys(names, 0.5)
        for blend in ("exact", "ties", "slerp"):
            _, proof = blend_into_library(library, plain_recipe(weights, blend), f"{method}-{blend}", base=text_base)
            assert proof.worst is not None
            assert proof.worst.rounding < 1e-5
            assert proof.unmatched == ()
    expected = live(text_base, {name: library.read(name) for name in ("c", "d")}, {"c": 0.5, "d": 0.5})
    found = live(text_base, {"m": library.read("ia3-exact")}, {"m": 1.0})
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_blend_or_export_with_another_base_is_a_sentence(
    text_base: TextBase,
    tiny_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library(tmp_path / "library")
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    for name, adapter in two(text_base, "dora").items():
        write_adapter(library.adapters_folder / name, adapter)
    blend = ["blend", "one:0.5", "two:0.5", "--name", "mix", "--device", "cpu"]
    export = ["export", "one", "--format", "language_model_folder", "--out", str(tmp_path / "out")]
    for arguments, said in (
        (blend, "which does not ship with the studio. Give it with --base"),
        ([*blend, "--base", str(tiny_base)], "of family 'causal_lm'"),
        (export, "give --base"),
        ([*export, "--base", str(tiny_base)], "of family 'causal_lm'"),
        ([*export[:3], "kohya", *export[4:]], "kohya"),
        ([*export[:3], "checkpoint_folder", *export[4:], "--base", str(tmp_path)], "no known family"),
    ):
        assert main(arguments) == 2, arguments
        assert said in capsys.readouterr().err
    assert library.names() == ["one", "two"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["lm_head", "wte"])
@pytest.mark.parametrize("said", [True, None])
def test_a_merged_file_of_tied_layers_is_refused(
    folders: dict[str, Path], tmp_path: Path, target: str, said: bool | None
) -> None:
    """Also where the base's config is silent, as GPT-2's own is: its class ties them."""
    shutil.copytree(folders["gpt2"], tmp_path / "base")
    path = tmp_path / "base" / "config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key != "tie_word_embeddings"}
    path.write_text(json.dumps({**config, "tie_word_embeddings": True} if said else config))
    base = load_text_base(str(tmp_path / "base"), device="cpu")
    adapter = random_adapter(base, "one", parts=("language_model",), targets=(target, "c_attn"))
    with pytest.raises(UserError, match="shares its weights with"):
        take_out(adapter, "language_model_folder", tmp_path / "out", base=base, base_folder=tmp_path / "base")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_a_merged_file_of_a_layer_of_its_own_is_the_live_model(
    folders: dict[str, Path], tmp_path: Path, target: str
) -> None:
    base = load_text_base(str(folders["llama"]), device="cpu")
    adapter = random_adapter(base, "one", parts=("language_model",), targets=(target, "q_proj"))
    expected = live(base, {"one": adapter}, {"one": 1.0})
    take_out(adapter, "language_model_folder", tmp_path / "out", base=base, base_folder=folders["llama"])
    assert torch.allclose(logits(load_text_base(str(tmp_path / "out"), device="cpu")), expected, atol=1e-4)
