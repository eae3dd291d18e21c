"""The rule of diffusers, against diffusers itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.bases import quiet_libraries
from pipelines.exporting import take_out
from pipelines.families import LoadedBase
from tests.support import random_adapter, relative_error


def loaded(folder: Path, out: Path) -> Any:
    """Return diffusers' pipeline with the file, by its own loader."""
    from diffusers import StableDiffusionPipeline

    with quiet_libraries():
        pipeline: Any = StableDiffusionPipeline.from_pretrained(folder)
        pipeline.load_lora_weights(str(out.parent), weight_name=out.name)
    return pipeline


@pytest.mark.parametrize(
    ("format_name", "method", "targets"),
    [
        ("diffusers", "lora", ["q_proj"]),
        ("diffusers", "dora", ["q_proj"]),
        ("kohya", "lora", ["q_proj"]),
        ("kohya", "lora", ["q_proj", "out_proj"]),
        ("kohya", "lora", ["fc1"]),
        ("kohya", "dora", ["q_proj", "out_proj"]),
        ("kohya", "loha", ["fc1"]),
    ],
)
def test_the_rule_is_what_diffusers_does(
    base: LoadedBase, tiny_base: Path, tmp_path: Path, format_name: str, method: str, targets: Sequence[str]
) -> None:
    adapter = random_adapter(base, method=method, parts=("text_encoder",), size=0.3, targets=list(targets))
    out = tmp_path / "out.safetensors"
    exported = take_out(adapter, format_name, out, base=base)
    found = {own.reader.name: own for own in exported.judged}.get("diffusers")
    if found is not None and found.refusal:
        with pytest.raises(ValueError, match=r"state dict|keys have not been"):
            loaded(tiny_base, out)
        return
    encoder = loaded(tiny_base, out).text_encoder
    errors = {}
    for path, bare in base.parts["text_encoder"].named_modules():
        if path.rpartition(".")[2] not in targets:
            continue
        layer: Any = encoder.get_submodule(path)
        before = bare.weight.detach().double()
        layer.merge()
        errors[path] = relative_error(
            layer.get_base_layer().weight.detach().double() - before, _change(base, adapter, path)
        )
    wrong = {} if found is None else {place.path: error for place, error in found.wrong.items()}
    assert {path for path, error in errors.items() if error > 1e-4} == wrong.keys()
    for path, error in wrong.items():
        assert errors[path] == pytest.approx(error, rel=1e-3)


def _change(base: LoadedBase, adapter: Any, path: str) -> Any:
    from pipelines.effective import effective_deltas

    module = base.parts["text_encoder"]
    return effective_deltas(module, adapter.parts["text_encoder"], what="it")[path].dense()
