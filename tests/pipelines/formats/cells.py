"""The conformance table: format × kind × direction, every cell by doing it on the toy base.

``python -m tests.pipelines.formats.cells`` writes benchmarks/results/formats.md anew.
"""

import copy
import dataclasses
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from pipelines.bases import load_base, quiet_libraries
from pipelines.exporting import take_out
from pipelines.families import LoadedBase, families
from pipelines.formats import formats
from pipelines.importing import bring_in
from tests.pipelines.formats import files
from tests.pipelines.formats.support import EXACT, largest_difference, live_deltas
from tests.support import bits, relative_error
from trainers.adapter import Adapter
from trainers.errors import UserError

Content = Mapping[tuple[str, str], files.Made]
TABLE = Path(__file__).parents[3] / "benchmarks/results/formats.md"
_LORA = ("lora", "locon", "dora")
_READS: Mapping[str, tuple[Callable[..., Path], tuple[str, ...]]] = {
    "kohya": (files.write_kohya, tuple(files.KINDS)),
    "comfyui": (files.write_comfyui, tuple(files.KINDS)),
    "diffusers": (files.write_diffusers, _LORA),
    "diffusers 2023": (files.write_old_diffusers, ("lora", "locon")),
    "peft": (files.write_peft, _LORA),
}
"""How files are made by hand, and the kinds that exist in that spelling."""
_WRITES = ("kohya", "comfyui", "diffusers", "peft")
_LOADS = ("diffusers loads our kohya", "diffusers loads our diffusers", "PEFT loads our peft")
COLUMNS = (*(f"read {name}" for name in _READS), *(f"write {name}" for name in _WRITES), *_LOADS)
_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_HEAD = """# Formats

Each cell is what a test does on the toy base, `tests/pipelines/formats/test_readers.py`; this file is written by
`python -m tests.pipelines.formats.cells`. "Exact" is an error of at most 2e-6 of every module's delta, against formulas
in float64 that are written out in the tests.

* **Read:** a file made by hand in that program's spelling becomes an adapter that does exactly what the file stands
  for; the cell names the method that it becomes. *partial* is a full delta: as exact, but as large as the weights. A
  dash: that spelling has no such kind.
* **Write:** that adapter, written, read again, and written once more: exact, and nothing changes the second time. *no
  form*: refused with the reason, unless `--rank` allows a loss, which is then stated.
* **Loads:** the other library's own loader on our file, every module's change of weight compared. *dropped*: it takes
  no notice of that kind and says so (diffusers 0.42 of `dora_scale`).

Ranks and alphas are mixed within each file. Of kohya files diffusers takes a text encoder only where all four attention
layers are there. PEFT's IA³ on outputs also multiplies the bias, so a layer that has one becomes a full delta. PEFT's
OFT and BOFT turn inputs where these files turn outputs, and its GLoRA multiplies the weight entry by entry, so they do
too.
"""


def row(base: LoadedBase, tiny_base: Path, folder: Path, kind: str) -> dict[str, str]:
    """Do what the cells of one kind say, and return what happened by column."""
    cells: dict[str, str] = {}
    content = files.make(files.KINDS[kind], base)
    adapter = bring_in(files.write_kohya(folder / "made.safetensors", content), base, "it").adapters["it"]
    for number, column in enumerate(COLUMNS):
        own = folder / str(number)
        own.mkdir()
        action, _, name = column.partition(" ")
        if action == "read":
            cells[column] = _read(base, own, kind, name)
        elif action == "write":
            cells[column] = _write(base, own, kind, adapter, content, name)
        else:
            cells[column] = _load(base, tiny_base, own, kind, column)
    return cells


def table(base: LoadedBase, tiny_base: Path) -> str:
    """Return the whole page."""
    rows = {}
    for kind in files.KINDS:
        with tempfile.TemporaryDirectory() as folder:
            rows[kind] = row(base, tiny_base, Path(folder), kind)
    groups = {
        "Read": [column for column in COLUMNS if column.startswith("read ")],
        "Write": [column for column in COLUMNS if column.startswith("write ")],
        "Loads": list(_LOADS),
    }
    lines = [_HEAD]
    for title, columns in groups.items():
        lines += [f"\n## {title}\n", "| kind | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for kind, facts in files.KINDS.items():
            lines.append(f"| {facts.title} | " + " | ".join(rows[kind][column] for column in columns) + " |")
    return "\n".join(lines) + "\n"


def committed() -> dict[str, dict[str, str]]:
    """Return the page's cells by kind and column."""
    kinds = {facts.title: kind for kind, facts in files.KINDS.items()}
    found: dict[str, dict[str, str]] = {kind: {} for kind in files.KINDS}
    columns: list[str] = []
    for line in TABLE.read_text().splitlines():
        values = [value.strip() for value in line.strip("|").split("|")]
        if values[0] == "kind":
            columns = values[1:]
        elif values[0] in kinds:
            found[kinds[values[0]]] |= dict(zip(columns, values[1:], strict=True))
    return found


def _read(base: LoadedBase, folder: Path, kind: str, name: str) -> str:
    write, kinds = _READS[name]
    if kind not in kinds:
        return "–"
    content = files.make(files.KINDS[kind], base)
    path = folder / ("in" if name == "peft" else "in.safetensors")
    imported = bring_in(write(path, content), base, "it")
    assert imported.format.name == name.partition(" ")[0]
    assert sum(imported.matched.values()) == len(content)
    assert not imported.unmatched
    adapter = imported.adapters["it"]
    (method,) = {card.method for card in adapter.card.parts.values()}
    # A change of form is always told, and so is a magnitude that programs take in two ways.
    told = ("dora_input", "ia3_output", "oft", "oft_kohya", "boft", "glora", "mixed")
    assert bool(imported.notes) == (kind in told or (kind == "dora" and name in ("kohya", "comfyui")))
    return _worded(method, largest_difference(live_deltas(base, adapter), content))


def _write(base: LoadedBase, folder: Path, kind: str, adapter: Adapter, content: Content, name: str) -> str:
    first, second = (folder / (label if formats()[name].is_folder else f"{label}.safetensors") for label in ("1", "2"))
    try:
        exported = take_out(adapter, name, first, base=base)
    except UserError as error:
        assert not first.exists()
        return "no form" if "has no form" in str(error) or "cannot hold" in str(error) else f"refused: {error}"
    again = bring_in(first, base, "it").adapters["it"]
    take_out(again, name, second, base=base)
    if (kind, name) == ("dora", "comfyui"):  # its magnitudes are reckoned anew each time, which costs one rounding
        one, two = load_file(first), load_file(second)
        assert one.keys() == two.keys()
        assert max(relative_error(two[key], one[key]) for key in one) < EXACT
    else:
        assert _tensors(first) == _tensors(second)  # written once, nothing changes any more
    return _worded("exact", max(exported.error, largest_difference(live_deltas(base, again), content)))


def _tensors(path: Path) -> dict[str, str]:
    files_of = {"": path} if path.is_file() else {file.parent.name: file for file in path.glob("*/*.safetensors")}
    return {f"{part}/{key}": text for part, file in files_of.items() for key, text in bits(load_file(file)).items()}


def _load(base: LoadedBase, tiny_base: Path, folder: Path, kind: str, column: str) -> str:
    name = column.rpartition(" ")[2]
    text = tuple(f"encoder.layers.{n}.self_attn.{q}" for n in (0, 1) for q in _ATTENTION)
    if kind not in ("lora", "locon", "tucker", "dora"):
        return "–"
    content = files.make(dataclasses.replace(files.KINDS[kind], text=text), base)
    out = folder / ("out" if name == "peft" else "out.safetensors")
    take_out(_adapter(base, folder, content), name, out, base=base)
    modules = _with_peft(base, out) if name == "peft" else _with_diffusers(tiny_base, out)
    worst = 0.0
    for (part, module), made in content.items():
        layer = modules[part].get_submodule(module)
        before = layer.get_base_layer().weight.detach().double().clone()
        layer.merge()
        assert made.weight is not None
        worst = max(worst, relative_error(layer.get_base_layer().weight.detach().double() - before, made.weight))
    if worst > 0.1 and (name, kind) == ("kohya", "dora"):
        return "dropped"
    return _worded("exact", worst)


def _with_diffusers(tiny_base: Path, out: Path) -> dict[str, Any]:
    from diffusers import StableDiffusionPipeline

    with quiet_libraries():
        pipeline: Any = StableDiffusionPipeline.from_pretrained(tiny_base)
        pipeline.load_lora_weights(str(out.parent), weight_name=out.name)
    return {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}


def _with_peft(base: LoadedBase, out: Path) -> dict[str, Any]:
    from peft import PeftModel

    with warnings.catch_warnings():  # PEFT reads an attribute that transformers has renamed
        warnings.simplefilter("ignore", FutureWarning)
        return {
            part: PeftModel.from_pretrained(copy.deepcopy(module), str(out / part)).base_model.model
            for part, module in base.parts.items()
        }


def _adapter(base: LoadedBase, folder: Path, content: Content) -> Adapter:
    return bring_in(files.write_kohya(folder / "made.safetensors", content), base, "it").adapters["it"]


def _worded(what: str, error: float) -> str:
    return what if error < EXACT else f"off by {error:.0e}"


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        tiny_base = Path(folder) / "tiny-sd1"
        families()["sd1"].tiny(tiny_base)
        TABLE.write_text(table(load_base(str(tiny_base), device="cpu"), tiny_base))


if __name__ == "__main__":
    main()
