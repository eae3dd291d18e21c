"""An adapter folder from elsewhere is hostile until checked: every broken one ends in a sentence."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.families import LoadedBase
from tests.support import bits, random_adapter
from trainers.adapter import Adapter, read_adapter, write_adapter
from trainers.card import read_card
from trainers.errors import UserError


@pytest.fixture
def folder(base: LoadedBase, tmp_path: Path) -> Path:
    write_adapter(tmp_path / "good", random_adapter(base, "good", rank=4))
    return tmp_path / "good"


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def refused(folder: Path, *expected: str) -> str:
    with pytest.raises(UserError) as caught:
        read_adapter(folder)
    for text in expected:
        assert text in str(caught.value)
    return str(caught.value)


def test_a_written_adapter_reads_back_equal(base: LoadedBase, tmp_path: Path) -> None:
    adapter = random_adapter(base, "again")
    adapter = Adapter(adapter.card, adapter.parts, {"f" * 64: torch.eye(3)})
    write_adapter(tmp_path / "again", adapter, {"one.png": b"png"})
    found = read_adapter(tmp_path / "again")
    assert found.card == adapter.card
    for part, content in adapter.parts.items():
        assert bits(found.parts[part].tensors) == bits(content.tensors)
        assert dict(found.parts[part].config) == json.loads(json.dumps(dict(content.config)))
    assert torch.equal(found.references["f" * 64], torch.eye(3))
    assert (tmp_path / "again/previews/one.png").read_bytes() == b"png"


def test_an_adapter_that_is_not_finite_is_not_written(base: LoadedBase, tmp_path: Path) -> None:
    adapter = random_adapter(base, "broken")
    next(iter(adapter.parts["unet"].tensors.values()))[0] = float("inf")
    with pytest.raises(UserError, match="not finite"):
        write_adapter(tmp_path / "broken", adapter)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target_modules", "(a+)+$"),
        ("target_modules", ["(a+)+$"]),
        ("target_modules", [".*"]),
        ("target_modules", []),
        ("target_modules", None),
        ("target_modules", ["to_q", 7]),
        ("exclude_modules", "(x|x)*y"),
        ("rank_pattern", {"(a+)+$": 4}),
        ("rank_pattern", {"to_q": 2_000_000_000}),
        ("rank_pattern", {"to_q": "4"}),
        ("rank_pattern", ["to_q"]),
        ("alpha_pattern", {"to_q": "four"}),
        ("alpha_pattern", {"to_q": float("nan")}),
        ("alpha_pattern", {"to_q": 1e308}),
        ("alpha_pattern", {"to_q": None}),
        ("r", 2_000_000_000),
        ("r", 0),
        ("r", -1),
        ("r", 4.0),
        ("r", True),
        ("r", "4"),
        ("r", None),
        ("lora_alpha", float("nan")),
        ("lora_alpha", 1e308),
        ("lora_alpha", "big"),
        ("lora_alpha", None),
        ("lora_dropout", 2.0),
        ("lora_dropout", "x"),
        ("use_rslora", "yes"),
        ("bias", "all"),
        ("layer_replication", [[0, 10**9]]),
        ("modules_to_save", ["conv_in"]),
        ("layers_pattern", "(a+)+$"),
        ("layers_to_transform", [0]),
        ("megatron_config", {"a": 1}),
        ("megatron_core", "antigravity"),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", {"a": 1}),
        ("target_parameters", ["x"]),
        ("trainable_token_indices", [1]),
        ("loftq_config", {"loftq_bits": 4}),
        ("lora_bias", True),
        ("use_qalora", True),
        ("a_field_of_tomorrow", "x"),
        ("peft_type", None),
        ("peft_type", ["LORA"]),
    ],
)
def test_a_config_field_that_could_hang_allocate_or_mislead_is_refused(folder: Path, key: str, value: Any) -> None:
    edit_json(folder / "unet/adapter_config.json", **{key: value})
    if value == []:  # well-formed, but reaches no layer
        return
    message = refused(folder, "unet: ")
    assert key in message or "rank" in message
    assert len(message) < 1000


def test_values_that_peft_writes_for_real_adapters_are_read(folder: Path) -> None:
    config = folder / "unet/adapter_config.json"
    edit_json(
        config,
        init_lora_weights="gaussian",
        base_model_name_or_path="somebody/some-model",
        revision="main",
        inference_mode=True,
        task_type="FEATURE_EXTRACTION",
        exclude_modules=["text_model.embeddings"],
    )
    assert read_adapter(folder).parts["unet"].config["init_lora_weights"] == "gaussian"


def _to(kind: torch.dtype) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({key: value.to(kind) for key, value in tensors.items()})

    return change


def _put(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        next(iter(tensors.values())).flatten()[0] = value

    return change


def _drop(which: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[next(key for key in tensors if which in key)]

    return change


def _hollow(tensors: dict[str, torch.Tensor]) -> None:
    """Claim a huge rank with tensors that hold nothing."""
    for key, value in list(tensors.items()):
        tensors[key] = torch.zeros((2_000_000_000, 0) if "lora_A" in key else (0, 2_000_000_000), dtype=value.dtype)


def _flat(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update({key: value.flatten() for key, value in tensors.items()})


def _mixed_ranks(tensors: dict[str, torch.Tensor]) -> None:
    key = next(key for key in tensors if "lora_A" in key)
    tensors[key] = tensors[key][:2].clone()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_put(float("nan")), "not finite"),
        (_put(float("inf")), "not finite"),
        (_to(torch.int32), "int32"),
        (_to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (_to(torch.complex64), "complex64"),
        (_drop("lora_A"), "has no lora_A"),
        (_drop("lora_B"), "has no lora_B"),
        (_hollow, "is empty"),
        (_flat, "differ in rank"),
        (_mixed_ranks, "differ in rank"),
        (dict.clear, "holds no tensor"),
    ],
)
def test_tensors_that_cannot_be_an_adapter_are_refused(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], expected: str
) -> None:
    edit_tensors(folder / "unet/adapter_model.safetensors", change)
    if change is _hollow:
        edit_json(folder / "unet/adapter_config.json", r=2_000_000_000)
    refused(folder, expected)


def test_half_precision_files_are_read(folder: Path) -> None:
    edit_tensors(folder / "unet/adapter_model.safetensors", _to(torch.bfloat16))
    assert {t.dtype for t in read_adapter(folder).parts["unet"].tensors.values()} == {torch.bfloat16}


def test_every_truncation_of_the_file_is_refused(folder: Path) -> None:
    path = folder / "text_encoder/adapter_model.safetensors"
    whole = path.read_bytes()
    refused_count = 0
    offsets = [*range(64), *range(64, len(whole), max(1, len(whole) // 100)), len(whole) - 1]
    for offset in offsets:
        path.write_bytes(whole[:offset])
        refused(folder, "adapter_model.safetensors")
        refused_count += 1
    assert refused_count == len(offsets) > 150


def test_a_huge_header_is_refused_before_it_is_parsed(folder: Path) -> None:
    path = folder / "unet/adapter_model.safetensors"
    path.write_bytes(struct.pack("<Q", 90 << 20) + b" " * 100)
    refused(folder, "header of 94,371,840 bytes")


def test_many_tensors_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.adapter_gate._LIMIT_TENSORS", 10)
    refused(folder, "tensors, at most 10 are read")


@pytest.mark.parametrize("name", ["adapter.json", "unet/adapter_config.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"r": ' + b"9" * 5000 + b"}",
        b'{"name": "\\ud800"}',
    ],
)
def test_broken_json_is_refused_naming_the_file(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    message = refused(folder)
    assert "adapter" in message
    message.encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 2},
        {"name": "../../evil"},
        {"name": ""},
        {"name": None},
        {"parts": {"../../evil": {"method": "lora"}}},
        {"parts": {}},
        {"parts": {"unet": {"method": 7}}},
        {"surprise": 1},
        {"base": {"name": "x"}},
        {"triggers": "word"},
        {"recipe": {"parents": "many"}},
        {"recipe": {"blend": "exact"}},
        {"recipe": {"blend": "exact", "parents": [{"name": "a", "weight": "heavy", "created": ""}]}},
    ],
)
def test_a_broken_card_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    edit_json(folder / "adapter.json", **changes)
    refused(folder)


@pytest.mark.parametrize(
    "missing", ["adapter.json", "unet/adapter_config.json", "text_encoder/adapter_model.safetensors"]
)
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    refused(folder, missing.rpartition("/")[2])


def test_all_problems_of_a_folder_come_at_once(folder: Path) -> None:
    edit_json(folder / "unet/adapter_config.json", r=10**9, lora_alpha=1e300)
    edit_tensors(folder / "text_encoder/adapter_model.safetensors", _put(float("nan")))
    message = refused(folder, "unet: ", "text_encoder: ", "lora_alpha")
    assert message.count("\n  - ") >= 3


def test_a_card_holds_no_paths(folder: Path) -> None:
    assert "/" not in read_card(folder).model_dump_json()
