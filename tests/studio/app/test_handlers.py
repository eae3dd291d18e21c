"""Handlers of the app take named inputs and name what they change, and every function fits on one screen."""

import ast
from pathlib import Path

import pytest

_APP = Path(__file__).resolve().parents[3] / "studio" / "app"
_ROOMS = ("train", "runs", "generate", "compare")
_MOST_LINES = 60
_MOST_LINES_OF_A_FILE = 300
_FILES = sorted(path for room in _ROOMS for path in (_APP / room).rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def takes_positions(function: Function | ast.Lambda) -> bool:
    return function.args.vararg is not None


def skips_by_number(node: ast.AST) -> bool:
    """Return whether a list is multiplied, as in ``[gr.skip()] * 3``."""
    multiplied = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
    return multiplied and any(
        "skip" in ast.dump(side) for side in (node.left, node.right) if isinstance(side, ast.List)
    )


@pytest.mark.parametrize("path", _FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_of_a_room_keeps_no_order_of_inputs_and_fits_on_screens(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    starred = [node.lineno for node in nodes if isinstance(node, Function | ast.Lambda) and takes_positions(node)]
    assert not starred, f"functions that take positions, at lines {starred}"
    skipped = [getattr(node, "lineno", 0) for node in nodes if skips_by_number(node)]
    assert not skipped, f"outputs are skipped by number, at lines {skipped}"
    functions = [node for node in nodes if isinstance(node, Function)]
    long = [own.name for own in functions if (own.end_lineno or own.lineno) - own.lineno >= _MOST_LINES]
    assert not long, f"functions of more than {_MOST_LINES} lines: {long}"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= _MOST_LINES_OF_A_FILE
