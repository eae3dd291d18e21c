"""Random configs and random bytes: an adapter attaches or is refused, and the base stays the same."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.attach import Attachments
from pipelines.families import LoadedBase
from tests.support import random_adapter
from trainers.adapter import read_adapter, write_adapter
from trainers.errors import UserError

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    *("r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"),
    *("use_rslora", "use_dora", "bias", "peft_type", "init_lora_weights", "layers_pattern", "layers_to_transform"),
    *("modules_to_save", "megatron_core", "fan_in_fan_out", "task_type", "inference_mode", "revision", "eva_config"),
    *("loftq_config", "use_qalora", "lora_bias", "runtime_config"),
)


@pytest.fixture
def folder(base: LoadedBase, tmp_path: Path) -> Path:
    write_adapter(tmp_path / "text", random_adapter(base, "text", rank=2, parts=("text_encoder",)))
    return tmp_path / "text"


def attach_and_remove(base: LoadedBase, folder: Path) -> None:
    attachments = Attachments(base)
    with contextlib.suppress(UserError):
        attachments.add("text", read_adapter(folder))
        attachments.remove("text")


@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, min_size=1, max_size=3))
@hypothesis_settings(max_examples=100)
def test_any_config_attaches_or_is_refused(base: LoadedBase, folder: Path, changes: dict[str, Any]) -> None:
    path = folder / "text_encoder/adapter_config.json"
    whole = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(whole), **changes}))
        attach_and_remove(base, folder)
    finally:
        path.write_text(whole)


@given(places=st.lists(st.tuples(st.integers(0, 2500), st.integers(0, 255)), min_size=1, max_size=4))
@hypothesis_settings(max_examples=100)
def test_any_mutated_file_attaches_or_is_refused(base: LoadedBase, folder: Path, places: list[tuple[int, int]]) -> None:
    path = folder / "text_encoder/adapter_model.safetensors"
    whole = path.read_bytes()
    content = bytearray(whole)
    for offset, value in places:
        content[offset] = value
    try:
        path.write_bytes(bytes(content))
        attach_and_remove(base, folder)
    finally:
        path.write_bytes(whole)
