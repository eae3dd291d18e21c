"""A DoRA is the same weight in every program that its file is for. The programs' formulas stand here once more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.exporting import foresee, take_out
from pipelines.families import LoadedBase
from pipelines.formats._names import ModuleNames
from pipelines.importing import bring_in
from pipelines.readers import find_reader
from tests.pipelines.formats.support import live_deltas
from tests.support import random_adapter, relative_error
from trainers.adapter import Adapter
from trainers.errors import UserError

BOTH = ("sd1", "sdxl")
EPS = 1.1920929e-07
Norm = Callable[[Tensor, Tensor], Tensor]


def over_base(weight: Tensor, total: Tensor) -> Tensor:
    """ComfyUI and Forge: every row over its length in the base."""
    return torch.stack([row.norm() for row in weight.flatten(1)]).reshape(-1, *[1] * (weight.ndim - 1)) + EPS


def over_sum(weight: Tensor, total: Tensor) -> Tensor:
    """PEFT, LyCORIS: every row over its length in the sum."""
    return torch.stack([row.norm() for row in total.flatten(1)]).reshape(-1, *[1] * (weight.ndim - 1))


def over_columns(weight: Tensor, total: Tensor) -> Tensor:
    """AUTOMATIC1111: always every column."""
    columns = torch.stack([total[:, k].norm() for k in range(total.shape[1])])
    return columns.reshape(1, -1, *[1] * (weight.ndim - 2))


def applied(base: LoadedBase, path: Path, norm: Norm) -> dict[tuple[str, str], Tensor]:
    """Return the change that a program with this rule makes of a file of LoRA with magnitudes, or of full deltas."""
    tensors, names = load_file(path), ModuleNames(base.parts)
    found = {}
    for name in {key.split(".lora_")[0].split(".diff")[0].split(".alpha")[0].split(".dora_")[0] for key in tensors}:
        place = names.find(name)
        assert place is not None
        weight = names.hosts[place]._parameters["weight"].detach().double()
        if f"{name}.diff" in tensors:
            found[place.part, place.path] = tensors[f"{name}.diff"].double()
            continue
        up, down = tensors[f"{name}.lora_up.weight"].double(), tensors[f"{name}.lora_down.weight"].double()
        rank = down.shape[0]
        total = weight.clone()
        scale = float(tensors.get(f"{name}.alpha", torch.tensor(float(rank)))) / rank
        for k in range(rank):
            total += scale * torch.outer(up[:, k].flatten(), down[k].flatten()).reshape(weight.shape)
        magnitude = tensors[f"{name}.dora_scale"].double()
        found[place.part, place.path] = total * (magnitude / norm(weight, total)) - weight
    return found


@dataclass(frozen=True)
class Case:
    """A random DoRA on every part of a base, and what it changes when it is attached."""

    base: LoadedBase
    adapter: Adapter
    changes: Mapping[tuple[str, str], Tensor]

    def off(self, found: Mapping[tuple[str, str], Tensor]) -> float:
        """Return the largest error of a change, over the change that the attached adapter makes."""
        assert found.keys() == self.changes.keys()
        return max(relative_error(found[place], own) for place, own in self.changes.items())


def case_of(base: LoadedBase, parts: tuple[str, ...]) -> Case:
    adapter = random_adapter(base, method="dora", parts=parts, size=0.3, rank=3, alpha=5)
    return Case(base, adapter, {place: weight for place, (weight, _) in live_deltas(base, adapter).items()})


@pytest.fixture(scope="module", params=BOTH)
def case(request: pytest.FixtureRequest, reader_bases: dict[str, LoadedBase]) -> Case:
    base = reader_bases[request.param]
    return case_of(base, tuple(base.parts))


@pytest.mark.parametrize(
    ("reader", "format_name", "norm"),
    [
        ("comfyui", None, over_base),
        (None, "comfyui", over_base),
        ("comfyui", "kohya", over_base),
        ("forge", None, over_base),
        ("a1111", None, over_columns),
        ("kohya", None, over_sum),
        (None, "kohya", over_sum),
    ],
)
def test_a_file_gives_the_right_weight_where_it_is_read(
    case: Case, tmp_path: Path, reader: str | None, format_name: str | None, norm: Norm
) -> None:
    base, adapter = case.base, case.adapter
    out = tmp_path / "out.safetensors"
    exported = take_out(adapter, format_name, out, reader_name=reader, base=base)
    assert case.off(applied(base, out, norm)) < 2e-6
    if reader is not None:
        (judged,) = exported.judged
        assert judged.is_whole
        assert judged.error < 2e-6


def test_a_kohya_file_says_who_differs_and_by_how_much(case: Case, tmp_path: Path) -> None:
    base, adapter = case.base, case.adapter
    out = tmp_path / "out.safetensors"
    exported = take_out(adapter, "kohya", out, base=base)
    found = {judged.reader.name: judged for judged in exported.judged}
    for name, norm in (("comfyui", over_base), ("forge", over_base), ("a1111", over_columns)):
        worst = case.off(applied(base, out, norm))
        assert worst > 0.05
        assert max(found[name].wrong.values()) == pytest.approx(worst, rel=1e-4)
        assert any(f"up to {worst:.2g} of the change off" in told for told in found[name].sentences())
        assert len(found[name].wrong) == exported.modules
    assert "kohya" not in found  # LyCORIS takes it as it is
    told = foresee(adapter, "kohya", base=base).told
    assert told == exported.told


def test_without_the_base_a_dora_says_that_it_is_unmeasured(
    reader_bases: dict[str, LoadedBase], tmp_path: Path
) -> None:
    adapter = random_adapter(reader_bases["sd1"], method="dora", parts=("unet",))
    told = " ".join(take_out(adapter, "kohya", tmp_path / "out.safetensors").told)
    assert "ComfyUI may give" in told
    assert "give --base" in told
    with pytest.raises(UserError, match="give --base"):
        take_out(adapter, None, tmp_path / "c.safetensors", reader_name="comfyui")
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]


@pytest.mark.parametrize(("family", "part"), [("sd1", "text_encoder"), ("sdxl", "text_encoder_2")])
def test_an_import_says_which_meaning_it_took_and_can_take_the_other(
    reader_bases: dict[str, LoadedBase], tmp_path: Path, family: str, part: str
) -> None:
    case = case_of(reader_bases[family], (part,))
    base, adapter = case.base, case.adapter
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    take_out(adapter, "kohya", ours, base=base)
    take_out(adapter, "kohya", theirs, reader_name="comfyui", base=base)

    def error(path: Path, norm: str | None) -> float:
        imported = bring_in(path, base, "in", dora_norm=norm).adapters["in"]
        return case.off({place: weight for place, (weight, _) in live_deltas(base, imported).items()})

    assert error(ours, None) < 2e-6
    assert error(ours, "adapted") < 2e-6
    assert error(theirs, None) < 5e-6  # the metadata says it
    with safe_open(theirs, framework="pt") as file:
        assert file.metadata()["adapter_studio.dora_magnitude"] == "base"
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(theirs), bare)  # as ComfyUI's own tools would leave it
    assert error(bare, "base") < 5e-6
    assert error(bare, None) > 0.05
    (note,) = bring_in(bare, base, "in").notes
    assert "--dora-norm base" in note
    worst = case.off(applied(base, ours, over_base))
    (note,) = bring_in(ours, base, "in").notes
    assert f"up to {worst:.2g} apart" in note
    assert not bring_in(ours, base, "in", dora_norm="adapted").notes
    with pytest.raises(UserError, match="adapted or base"):
        bring_in(ours, base, "in", dora_norm="weight")


def test_a_row_of_zeros_in_the_base_stays_right(reader_bases: dict[str, LoadedBase], tmp_path: Path) -> None:
    """Where ‖W‖ is 0 ComfyUI divides by the step of float32."""
    base = reader_bases["sd1"]
    module = base.parts["text_encoder"].get_submodule("encoder.layers.0.self_attn.q_proj")
    kept = module.weight.detach().clone()
    try:
        with torch.no_grad():
            module.weight[:1] = 0
        own = case_of(base, ("text_encoder",))
        take_out(own.adapter, None, tmp_path / "out.safetensors", reader_name="comfyui", base=base)
        assert own.off(applied(base, tmp_path / "out.safetensors", over_base)) < 2e-6
    finally:
        with torch.no_grad():
            module.weight.copy_(kept)


def test_a_half_precision_dora_keeps_its_magnitudes_whole(case: Case, tmp_path: Path) -> None:
    take_out(case.adapter, None, tmp_path / "out.safetensors", reader_name="comfyui", base=case.base, precision="bf16")
    tensors = load_file(tmp_path / "out.safetensors")
    assert {tensor.dtype for key, tensor in tensors.items() if key.endswith(".dora_scale")} == {torch.float32}
    assert {tensor.dtype for key, tensor in tensors.items() if key.endswith(".lora_up.weight")} == {torch.bfloat16}


def test_the_rule_of_comfyui_is_over_the_base() -> None:
    """A file's magnitude of 2 and a change that triples a row: 6 times the row of length 1, not 2 times."""
    host = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        host.weight.copy_(torch.eye(2))
    names = ModuleNames({"unet": torch.nn.ModuleDict({"conv_in": host})})
    ((place, _),) = names.hosts.items()
    leaves = {
        "lora_up.weight": torch.tensor([[2.0], [0.0]]),
        "lora_down.weight": torch.tensor([[1.0, 0.0]]),
        "dora_scale": torch.tensor([[2.0], [1.0]]),
    }
    for name, first in (("comfyui", 6.0), ("forge", 6.0), ("kohya", 2.0)):
        taken = find_reader(name).take(leaves, place, host)
        assert taken is not None
        assert taken.change is not None
        weight = host.weight.detach().double()
        assert (weight + taken.change(weight))[0, 0] == pytest.approx(first, rel=1e-6)
