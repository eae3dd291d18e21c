"""What the page says when something goes wrong, and while work has only begun."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipelines.compare.grid import LOOK_AXES
from studio.app.compare.tables import head_of, readable, table_html
from studio.app.shared.field_names import on_page
from studio.app.shared.locales import Counting
from studio.app.shared.progress_line import loading_line, problem_line, progress_line
from studio.app.shared.words import Words
from studio.library.library import Library
from tests.apart import apart
from trainers.errors import UserError

_ROOT = Path(__file__).parents[3]
_COMMAND_LINE_ONLY = {"--expand", "--out"}
_COMMAND = re.compile(r"'studio [^']*'|\bstudio(?: [^\s;,)]*[^\s;,).])+")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def _errors() -> Iterator[tuple[str, str]]:
    """Return the texts of the library's errors, with where they are raised."""
    files = [*(_ROOT / "trainers").rglob("*.py"), *(_ROOT / "pipelines").rglob("*.py")]
    files += [*(_ROOT / "studio" / "library").rglob("*.py"), *(_ROOT / "studio" / "runs").rglob("*.py")]
    files = [path for path in files if path.name not in ("launch.py", "team.py")]  # launchers work on a command line
    for file in files:
        for call in ast.walk(apart(ast.parse, file.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("UserError", "raise_problems"):
                texts = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
                yield f"{file.name}:{call.lineno}", "".join(text for text in texts if isinstance(text, str))


def test_every_error_of_the_library_names_fields_on_the_page_where_it_names_flags() -> None:
    said = {where: on_page(text) for where, text in _errors()}
    assert sum("“" in text for text in said.values()) > 20
    flags = {where: set(_FLAG.findall(_COMMAND.sub("", text))) - _COMMAND_LINE_ONLY for where, text in said.items()}
    assert {where: found for where, found in flags.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Give it with --base.", "Give it with “Base”."),
        ("Lower the learning rate, or use --precision fp32, and resume.",
         "Lower the learning rate, or use “Precision” fp32, and resume."),
        ("Train on the whole chat with --no-assistant-only.",
         "Train on the whole chat with “Learn from answers only” off."),
        ("Train one with studio text train --stage reward.", "Train one with studio text train --stage reward."),
        ("Continue with 'studio train --resume a', or choose another --name.",
         "Continue with 'studio train --resume a', or choose another “Name”."),
        ("The adapter 'a--base' is unknown; --unheard-of is no flag.",
         "The adapter 'a--base' is unknown; --unheard-of is no flag."),
    ],
)  # fmt: skip
def test_a_flag_becomes_the_label_of_its_field_and_a_command_stays(text: str, said: str) -> None:
    assert on_page(text) == said


def test_a_problem_on_the_page_is_escaped_and_names_the_field(tmp_path: Path) -> None:
    (tmp_path / "adapters/ink").mkdir(parents=True)
    with pytest.raises(UserError, match="--name") as error:
        Library(tmp_path).new_adapter_folder("ink")
    assert "Choose another “Name”" in problem_line(str(error.value))
    assert "&lt;b&gt;" in problem_line("<b>")


def test_a_bar_comes_with_the_first_step() -> None:
    assert "<progress" not in progress_line("Drawing", 0, 20)
    assert 'value="1" max="20"' in progress_line("Drawing", 1, 20)
    assert "Loading the base pocket …" in loading_line({"event": "said", "text": "Loading the base pocket …"})
    assert loading_line({"event": "said", "text": "Note: it is new."}) == ""
    assert loading_line({"event": "picture", "path": "a…"}) == ""


def test_tables_of_a_comparison_have_heads_in_words_and_intervals_beside_their_means() -> None:
    say = partial(Words().say, None)
    table = [
        ["look", "pictures", "clip_t", "clip_t ±", "prompt kept", "clip_i:<ink>", "clip_i:<ink> ±", "style:<ink>"],
        ["base", "2", "0.22", "0.01", "1.00", "0.50", "", ""],
    ]  # of an older comparison, which still opens
    heads, rows = readable(table, say)
    assert heads == [
        *("Drawn with", "Pictures", "Fits the whole prompt (CLIP-T)"),
        "Share of the whole prompt (old; Start measures anew)",
        *("Like <ink> (CLIP-I)", "Share of the style <ink>"),
    ]
    assert rows == [["base", "2", "0.22 ± 0.01", "1.00", "0.50", "–"]]
    assert "<ink>" not in table_html("Means", heads, rows)


def test_every_column_of_a_comparison_has_a_head_in_words() -> None:
    say = partial(Words().say, None)
    written = [
        "page",
        "row",
        "column",
        "look",
        *LOOK_AXES,
        "base",
        "prompt",
        "seed",
        "num_inference_steps",
        "guidance_scale",
        "adapters",
    ]
    written += [
        "blend",
        "subject",
        "subject_clip_t",
        "subject kept",
        "subject_kept",
        "clip_t",
        "clip_i:a",
        "pictures",
        "seeds",
    ]
    for name in (*written, "style:a", "asked", "prompt kept"):  # the last two are of older comparisons
        assert head_of(name, say) != name


@pytest.mark.parametrize(("count", "said"), [(1, "Done: 1 picture, seed 7."), (0, "Done: 0 pictures, seed 7.")])
def test_a_count_chooses_its_word_and_other_forms_stay(count: int, said: str) -> None:
    text = "Done: {count} {count:picture|pictures}, seed {seed:.0f}."
    assert Counting().format(text, count=count, seed=7.4) == said


def test_a_number_out_of_bounds_is_told_with_its_field_and_one_within_passes() -> None:
    """In a process of its own: what is changed in Gradio stays."""
    script = """
import gradio as gr
from studio.app.server.gradio_repairs import repair_gradio
repair_gradio()
assert gr.Number(label="density", minimum=0, maximum=1).preprocess(0.5) == 0.5
assert gr.Number(label="rows", precision=0).preprocess(3.0) == 3
assert gr.Slider(0, 0.99, label="smoothing").preprocess(0.9) == 0.9
for empty in (gr.Number(label="free"), gr.Number(label="seed", minimum=0, maximum=9), gr.Slider(0, 1)):
    assert empty.preprocess(None) is None
for field, given, said in (
    (gr.Number(label="density", minimum=0, maximum=1), 2, "The number 2 of “density” cannot be used: at least 0"),
    (gr.Slider(1, 150, label=gr.I18n(en={"shared.steps": "Steps"})("shared.steps")), 10**20, "“steps”"),
):
    try:
        field.preprocess(given)
    except gr.Error as error:
        assert said in str(error), error
        assert not error.print_exception
    else:
        raise AssertionError(said)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
