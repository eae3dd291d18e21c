"""The table of methods gives a reason for every dash."""

import dataclasses
from pathlib import Path

import pytest

from studio.cli.main import main
from tests.trainers.methods import cells
from trainers.methods import find_method, methods
from trainers.methods._left_out import LEFT_OUT
from trainers.methods._table import NO, YES, as_markdown, as_text, table_of


def test_every_dash_has_its_reason() -> None:
    table = table_of(methods().values())
    assert all(table.notes), [row[0] for row in table.rows if f"{NO} ({table.notes.index('') + 1})" in row]
    for row in table.rows:
        for cell in row[1:-1]:
            if cell != YES:
                number = int(cell.removeprefix(f"{NO} (").removesuffix(")"))
                assert table.notes[number - 1]
    assert {part for method in methods().values() for part in method.parts} <= set(table.columns)


def test_a_missing_reason_is_seen() -> None:
    silent = dataclasses.replace(find_method("textual_inversion"), lacks={})
    assert "" in table_of([find_method("lora"), silent]).notes


def test_every_tuner_of_peft_is_a_method_or_left_out_for_a_reason(tiny_base: Path) -> None:
    from peft import PeftType

    model = cells.model("text_encoder", tiny_base)
    used = set()
    for method in methods().values():
        if "text_encoder" in method.parts:
            config = method.peft_config(cells.settings_of(method, model), model.resolve)
            used.add(config.peft_type.value)
    known = {kind.value for kind in PeftType if not kind.value.startswith("STUDIO_")}
    assert known - used == LEFT_OUT.keys()
    assert all(LEFT_OUT.values())


def test_the_table_is_printed_with_its_footnotes(capsys: pytest.CaptureFixture[str]) -> None:
    table = table_of([find_method("lora"), find_method("houlsby"), find_method("textual_inversion")])
    text = as_text(table).splitlines()
    assert len({line.index("  LoRA") for line in text if "  LoRA" in line}) == 1
    assert text[-1].startswith(f"({len(table.notes)}) ")
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    for note in table_of(methods().values()).notes:
        assert printed.count(f" {note}.") == 1
    assert main(["methods", "--markdown"]) == 0
    assert capsys.readouterr().out.strip() == as_markdown(table_of(methods().values()))
    assert main(["methods", "--left-out"]) == 0
    assert "ADAMSS: needs scikit-learn" in capsys.readouterr().out
    assert main(["methods", "textual_inversion"]) == 0
    assert "Does not fit unet: it reads no words" in capsys.readouterr().out
