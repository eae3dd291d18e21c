"""The table reader × format × method on narrow bases of SD 1.5's and SDXL's shape, every cell by writing a file.

``python -m tests.pipelines.readers.cells`` writes docs/formats.md anew.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipelines.bases import load_base, quiet_libraries
from pipelines.exporting import take_out
from pipelines.families import LoadedBase, families
from pipelines.readers import Reader, readers
from pipelines.readers._judging import Judged
from tests.pipelines.readers.bases import write_like_sd15
from tests.support import random_adapter
from trainers.adapter import Adapter
from trainers.errors import UserError

PAGE = Path(__file__).parents[3] / "docs/formats.md"
METHODS = (
    "lora",
    "dora",
    "loha",
    "lokr",
    "ia3",
    "oft",
    "boft",
    "glora",
    "hra",
    "vera",
    "fourierft",
    "delora",
    "bitfit",
    "norm_tuning",
    "full",
)
BASES = {"sd1": "SD 1.5", "sdxl": "SDXL"}
_SETTINGS: Mapping[str, dict[str, int]] = {"fourierft": {"frequencies": 20}}
"""What the recommended settings are too large for here."""
_PAIRS = tuple(
    (reader, format_name) for reader in readers().values() for format_name in reader.formats if format_name != "peft"
)
_HEAD = """# What other programs make of our files

Written by `python -m tests.pipelines.readers.cells`; `tests/pipelines/readers/test_cells.py` holds rows of it true.
Every cell is a random adapter of that method on all parts of a narrow base, written to a file and held, module by
module and in float64, against the rule of the program that reads it (`pipelines/readers/`, in our own words).

`studio export NAME --for PROGRAM --out f.safetensors` writes what the second table shows: the format that the program
reads best, in forms that it applies as they are meant. What it would pass over stops the export, unless
`--allow-unread` says otherwise. `studio export NAME --format FORMAT` writes the first table's files, for no program in
particular (`comfyui` is always for ComfyUI); what each will make of them is said before the file takes its place. In
the app: Library, Export, "See what will be read".

* **all**: every module is read and gets the weight that the adapter has here (error at most 2e-6 of its change).
* **−n of m**: n modules are passed over. **other weight, x**: x is the largest error, as a share of the change.
* **nothing**: the program drops the whole file or stops at it.
* **stopped**: the export refuses, because something would not be read. **no form**: the format has no form for it.
* **full**: all, and some modules became full deltas, as large as the weights; `--rank N` makes them small, with loss.

PEFT reads its own folders (`--for peft`), which are what the adapters are made with. A whole model
(`--format checkpoint_file`, `checkpoint_folder`) holds every change of weights, whatever reads it.

The rules, and where they were read:

"""


def page(bases: Mapping[str, LoadedBase]) -> str:
    """Return the whole page."""
    lines = [_HEAD + "\n".join(_rule(reader) for reader in readers().values())]
    for title, is_for in (("Files for no program in particular", False), ("Files for one program", True)):
        for family, base in bases.items():
            heads = [f"{reader.name} ← {format_name}" for reader, format_name in _PAIRS]
            lines += ["", f"## {title}: {BASES[family]}", ""]
            lines += ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
            for method in METHODS:
                lines.append(f"| {method} | " + " | ".join(row(base, method, is_for=is_for)) + " |")
    return "\n".join(lines) + "\n"


def row(base: LoadedBase, method: str, *, is_for: bool) -> list[str]:
    """Write one method's files, and return what became of each."""
    adapter = random_adapter(base, method=method, parts=tuple(base.parts), size=0.3, **_SETTINGS.get(method, {}))
    with tempfile.TemporaryDirectory() as folder:
        if is_for:
            return [_cell_for(base, adapter, *pair, Path(folder) / f"{n}.safetensors") for n, pair in enumerate(_PAIRS)]
        found: dict[str, list[Judged] | None] = {}
        for format_name in dict.fromkeys(name for _, name in _PAIRS):
            try:
                exported = take_out(adapter, format_name, Path(folder) / f"{format_name}.safetensors", base=base)
                found[format_name] = list(exported.judged)
            except UserError:
                found[format_name] = None
        return [_cell(reader, found[format_name]) for reader, format_name in _PAIRS]


def committed(title: str, family: str) -> dict[str, list[str]]:
    """Return one of the page's tables by method."""
    section = PAGE.read_text().partition(f"## {title}: {BASES[family]}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return {cells[0]: cells[1:] for cells in rows[2:]}


def _rule(reader: Reader) -> str:
    import importlib

    module = importlib.import_module(f"pipelines.readers.{reader.name}")
    return f"* **{reader.title}** (`--for {reader.name}`; {reader.version}): {' '.join((module.__doc__ or '').split())}"


def _cell(reader: Reader, judged: list[Judged] | None) -> str:
    if judged is None:
        return "no form"
    own = next((found for found in judged if found.reader is reader), None)
    return "all" if own is None else _worded(own)


def _cell_for(base: LoadedBase, adapter: Adapter, reader: Reader, format_name: str, out: Path) -> str:
    try:
        exported = take_out(adapter, format_name, out, reader_name=reader.name, base=base)
    except UserError as error:
        return "no form" if "has no form" in str(error) else "stopped"
    (own,) = exported.judged
    worded = _worded(own)
    return "full" if worded == "all" and any("became full deltas" in note for note in exported.notes) else worded


def _worded(own: Judged) -> str:
    if own.refusal:
        return "nothing"
    told = [f"−{len(own.unread)} of {own.total}"] if own.unread else []
    told += [f"other weight, {max(own.wrong.values()):.1g}"] if own.wrong else []
    return "; ".join(told) or "all"


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        places = {family: Path(folder) / family for family in BASES}
        families()["sd1"].tiny(Path(folder) / "tiny")
        write_like_sd15(Path(folder) / "tiny")(places["sd1"])
        families()["sdxl"].tiny(places["sdxl"])
        PAGE.write_text(page({family: load_base(str(place), device="cpu") for family, place in places.items()}))


if __name__ == "__main__":
    main()
