"""What a part is called is its family's affair: no module outside families, formats and readers names a denoiser."""

import ast
from collections.abc import Iterator
from pathlib import Path

import trainers
from pipelines.families import families, known_parts
from trainers.methods import methods
from trainers.parts import DENOISER, LANGUAGE_MODEL, TEXT_ENCODER, kind_of

ROOT = Path(trainers.__file__).parents[1]
ALLOWED = ("pipelines/families/", "pipelines/formats/", "pipelines/readers/")


def literals(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of every string constant."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_denoisers_name_is_a_literal_elsewhere() -> None:
    names = {part.name for part in known_parts("picture").values() if part.kind == DENOISER}
    assert names >= {"unet", "transformer"}
    names |= {f"text_encoder_{number}" for number in (2, 3)}
    files = [file for room in ("trainers", "pipelines", "studio") for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 300
    found = [
        f"{place}:{line} {text!r}"
        for file in files
        if not (place := file.relative_to(ROOT).as_posix()).startswith(ALLOWED)
        for line, text in literals(file)
        if text in names
    ]
    assert not found


def test_methods_speak_of_kinds_alone() -> None:
    kinds = {DENOISER, TEXT_ENCODER, LANGUAGE_MODEL}
    for method in methods().values():
        assert {*method.recommended, *method.lacks} <= kinds, method.name


def test_a_part_is_of_the_kind_that_its_name_says() -> None:
    expected = {
        **dict.fromkeys(("unet", "transformer", "prior"), DENOISER),
        **dict.fromkeys(("text_encoder", "text_encoder_2", "text_encoder_13"), TEXT_ENCODER),
        "language_model": LANGUAGE_MODEL,
    }
    assert {part: kind_of(part) for part in expected} == expected
    for family in families().values():
        wanted = DENOISER if family.role == "picture" else LANGUAGE_MODEL
        assert [part.kind for part in family.parts].count(wanted) == 1
