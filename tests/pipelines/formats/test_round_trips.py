"""Import, export and import again is the identity in every format, and other programs' loaders see the same deltas."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from pipelines.exporting import convert, needs_base, take_out
from pipelines.families import LoadedBase
from pipelines.importing import bring_in
from tests.pipelines.formats import files
from tests.pipelines.formats.support import live_deltas
from tests.support import bits, random_adapter, relative_error
from trainers.adapter import Adapter, read_adapter, write_adapter
from trainers.errors import UserError

SINGLE = ("kohya", "comfyui", "diffusers")


def imported(base: LoadedBase, folder: Path, kind: str) -> tuple[Adapter, dict[tuple[str, str], files.Made]]:
    content = files.make(files.KINDS[kind], base)
    path = files.write_kohya(folder / f"{kind}.safetensors", content)
    return bring_in(path, base, kind).adapters[kind], content


@settings(max_examples=12)
@given(st.data())
def test_random_ranks_and_alphas_survive(base: LoadedBase, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("random")
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    paths = data.draw(
        st.lists(st.sampled_from([*files.LINEAR, *files.POINTWISE, *files.KERNELS]), min_size=1, unique=True)
    )
    content = {}
    for path in paths:
        host = base.parts["unet"].get_submodule(path)
        weight = files.weight_of(host)
        rank = data.draw(st.integers(1, 5))
        alpha = data.draw(st.one_of(st.none(), st.floats(-8, 8).filter(lambda number: abs(number) > 1e-3)))
        up, down = files.rand(generator, weight.shape[0], rank), files.rand(generator, rank, *weight.shape[1:])
        leaves = {"lora_up.weight": up.reshape(*up.shape, *[1] * (weight.ndim - 2)), "lora_down.weight": down}
        scale = 1.0 if alpha is None else float(torch.tensor(alpha)) / rank
        if alpha is not None:
            leaves["alpha"] = torch.tensor(alpha)
        delta = scale * (up.double() @ down.double().flatten(1)).reshape(weight.shape)
        content[("unet", path)] = files.Made(leaves, delta)
    name = data.draw(st.sampled_from(SINGLE))
    adapter = bring_in(files.write_kohya(folder / "a.safetensors", content), base, "a").adapters["a"]
    take_out(adapter, name, folder / "b.safetensors", base=base)
    part = bring_in(folder / "b.safetensors", base, "b").adapters["b"].parts["unet"]
    assert len(part.tensors) == 2 * len(content)
    for (_, path), made in content.items():
        down = part.tensors[f"base_model.model.{path}.lora_A.weight"].double()
        up = part.tensors[f"base_model.model.{path}.lora_B.weight"].double()
        scale = part.config["alpha_pattern"].get(path, part.config["lora_alpha"]) / len(down)
        assert made.weight is not None
        found = scale * (up.flatten(1) @ down.flatten(1)).reshape(made.weight.shape)
        assert relative_error(found, made.weight) < 1e-6


def test_metadata_and_hashes(base: LoadedBase, tmp_path: Path) -> None:
    adapter, _ = imported(base, tmp_path, "lora")
    about = {"about": {"description": "made in /home/someone/secret/place and C:\\Users\\me\\x.png", "license": "MIT"}}
    card = adapter.card.model_copy(update={"training": {**about, "steps": 7, "seed": 3}, "triggers": ("zqx", "paper")})
    out = tmp_path / "out.safetensors"
    take_out(dataclasses.replace(adapter, card=card), "kohya", out)
    with safe_open(out, framework="pt") as file:
        metadata = file.metadata()
    content = out.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    digest = hashlib.sha256(content[start:]).hexdigest()
    assert metadata["sshs_model_hash"] == digest
    assert metadata["modelspec.hash_sha256"] == f"0x{digest}"
    assert len(metadata["sshs_legacy_hash"]) == 8
    assert metadata["ss_network_dim"] == metadata["ss_network_alpha"] == "Dynamic"
    assert metadata["ss_network_module"] == "networks.lora"
    assert metadata["ss_steps"] == "7"
    assert metadata["modelspec.trigger_phrase"] == "zqx, paper"
    assert metadata["modelspec.license"] == "MIT"
    assert metadata["modelspec.description"] == "made in place and x.png"
    for value in metadata.values():
        assert "/home" not in value
        assert "\\" not in value
        assert str(tmp_path) not in value
    assert bring_in(out, base, "again").adapters["again"].card.triggers == ("zqx", "paper")


def test_legacy_hash_is_kohyas(base: LoadedBase, tmp_path: Path) -> None:
    """Both hashes are of the file as it is with the ss_ fields alone."""
    import safetensors.torch

    adapter = random_adapter(base, method="lora", rank=900, parts=("unet",))
    take_out(adapter, "kohya", tmp_path / "big.safetensors")
    with safe_open(tmp_path / "big.safetensors", framework="pt") as file:
        metadata = file.metadata()
    fields = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    plain = safetensors.torch.save(load_file(tmp_path / "big.safetensors"), fields)
    assert len(plain) > 0x110000
    assert metadata["sshs_legacy_hash"] == hashlib.sha256(plain[0x100000:0x110000]).hexdigest()[:8]


def test_alphas_are_written_only_where_no_reader_can_go_wrong(base: LoadedBase, tmp_path: Path) -> None:
    adapter, _ = imported(base, tmp_path, "lora")
    take_out(adapter, "kohya", tmp_path / "mixed.safetensors")
    assert not [key for key in load_file(tmp_path / "mixed.safetensors") if key.endswith(".alpha")]
    same = random_adapter(base, method="lora", rank=3, alpha=1.5)
    take_out(same, "kohya", tmp_path / "same.safetensors")
    alphas = {float(t) for key, t in load_file(tmp_path / "same.safetensors").items() if key.endswith(".alpha")}
    assert alphas == {3.0}


def test_a_file_that_differs_is_not_kept(base: LoadedBase, tmp_path: Path) -> None:
    adapter, _ = imported(base, tmp_path, "lora")
    big = {key: tensor * 1e6 for key, tensor in adapter.parts["unet"].tensors.items()}
    loud = dataclasses.replace(adapter.parts["unet"], tensors=big)
    broken = dataclasses.replace(adapter, parts={**adapter.parts, "unet": loud})
    with pytest.raises(UserError, match="does not fit float16"):
        take_out(broken, "kohya", tmp_path / "out.safetensors", precision="fp16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lora.safetensors"]
    exported = take_out(adapter, "kohya", tmp_path / "half.safetensors", precision="fp16")
    assert 1e-6 < exported.error < 4e-3


@pytest.mark.parametrize("method", ["c3a", "delora", "hira", "oft", "road"])
def test_any_method_that_changes_weights_goes_out_as_full_deltas(base: LoadedBase, tmp_path: Path, method: str) -> None:
    adapter = random_adapter(base, "a", method=method, parts=("text_encoder",))
    exported = take_out(adapter, "kohya", tmp_path / "out.safetensors", base=base)
    assert "full deltas" in exported.notes[0]
    expected = live_deltas(base, adapter)
    found = live_deltas(base, bring_in(tmp_path / "out.safetensors", base, "b").adapters["b"])
    assert found.keys() == expected.keys()
    assert max(relative_error(found[place][0], expected[place][0]) for place in expected) < 1e-5


def test_a_method_that_is_no_change_of_weights_is_refused(base: LoadedBase, tmp_path: Path) -> None:
    adapter = random_adapter(base, "a", method="prefix_tuning", parts=("text_encoder",))
    with pytest.raises(UserError, match="prefix_tuning on the text_encoder is no change of weights"):
        take_out(adapter, "kohya", tmp_path / "out.safetensors", base=base)
    assert not list(tmp_path.iterdir())


def test_a_rank_turns_any_matrix_into_lora_and_tells_the_loss(base: LoadedBase, tmp_path: Path) -> None:
    adapter, content = imported(base, tmp_path, "loha")
    exported = take_out(adapter, "diffusers", tmp_path / "out.safetensors", base=base, rank=2)
    found = live_deltas(base, bring_in(tmp_path / "out.safetensors", base, "b").adapters["b"])
    worst = 0.0
    for place, made in content.items():
        assert made.weight is not None
        values = torch.linalg.svdvals(made.weight.flatten(1))
        tail = float(values[2:].norm() / values.norm())
        change = (found[place][0] - made.weight).norm() / made.weight.norm()
        assert float(change) == pytest.approx(tail, rel=1e-4)
        worst = max(worst, tail)
    assert f"up to {100 * worst:.2g} %" in exported.notes[-1]


def test_the_base_is_needed_only_where_it_is(base: LoadedBase) -> None:
    lora = random_adapter(base, method="lora", rank=2)
    assert not needs_base(lora, "kohya")
    assert not needs_base(lora, "peft")
    assert needs_base(lora, "comfyui")
    assert needs_base(random_adapter(base, method="oft"), "kohya")
    assert needs_base(random_adapter(base, method="ia3"), "kohya")


def test_convert_goes_from_file_to_file(base: LoadedBase, tmp_path: Path) -> None:
    content = files.make(files.KINDS["lora"], base)
    path = files.write_comfyui(tmp_path / "in.safetensors", content)
    read, written = convert(path, "diffusers", tmp_path / "out.safetensors", base)
    assert (read.format.name, written.modules) == ("comfyui", len(content))
    metadata_key = "lora_adapter_metadata"
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        values = json.loads(file.metadata()[metadata_key])
    assert values["unet.lora_alpha"] == values["unet.r"]
    assert values["unet.rank_pattern"] == values["unet.alpha_pattern"]


def test_a_folder_of_the_library_comes_in_as_it_is(base: LoadedBase, tmp_path: Path) -> None:
    adapter = random_adapter(base, "mine", method="lora", rank=2)
    write_adapter(tmp_path / "mine", adapter)
    found = bring_in(tmp_path / "mine", base, "other").adapters["other"]
    assert found.card.name == "other"
    assert bits(found.parts["unet"].tensors) == bits(read_adapter(tmp_path / "mine").parts["unet"].tensors)
