"""The table of methods gives a reason for every dash."""

import dataclasses

import pytest

from studio.cli import main
from trainers.methods import find_method, methods
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
    assert main(["methods", "textual_inversion"]) == 0
    assert "Does not fit unet: it reads no words" in capsys.readouterr().out
