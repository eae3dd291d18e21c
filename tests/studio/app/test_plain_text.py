"""Text that no program can write is refused wherever it comes in, with its place."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.compare.votes import Vote, read_votes
from pipelines.formats._source import json_of
from pipelines.generate import ImageRequest
from pipelines.image_settings import checked_settings
from pipelines.recipe import parse_recipe, read_recipe
from pipelines.text_request import TextRequest
from studio.app.server.plain_requests import PlainRequests
from studio.app.text.votes import keep_vote
from studio.cli.main import main
from studio.engine.client import Engine
from studio.library.library import Library, open_library
from studio.operations.search_weights import _read_trials
from studio.runs.kinds.captions import RUN_KIND as CAPTIONS
from tests.apart import apart
from tests.support import draw_pictures
from trainers.card import read_card
from trainers.config import parse_config
from trainers.config_files import read_config
from trainers.data.captions import write_captions
from trainers.data.images import read_folder
from trainers.data.metadata import read_table
from trainers.data.plain_text import not_plain, plain_text, plain_values, shown
from trainers.data.texts import read_texts
from trainers.errors import UserError
from trainers.storage import read_json, write_text
from trainers.text_config import TextConfig
from trainers.voice_judge import voice_texts

HALF = "\ud83d"
ESCAPED = "\\ud83d"
BROKEN = r"not (be )?plain text \(a broken character\)"


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_whatever_can_be_written_is_plain(text: str) -> None:
    assert not_plain(text) == ""
    assert plain_text(text, "here") is text
    assert shown(text) == text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"cat {HALF}", r"here: not plain text \(a broken character\)"),
        ("cat\0", r"here: not plain text \(a NUL character\)"),
        ([["a", {"b": HALF}]], r"here: not plain text \(a broken"),
        ({"a": 1, "b": {"c": ["x", HALF]}}, r"here: b: not plain text \(a broken"),
        ({HALF: 1}, r"here: \\ud83d: not plain text \(a broken"),
    ],
)
def test_a_broken_text_is_named_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        plain_values(value, "here")
    str(caught.value).encode()  # the sentence itself can be printed


def test_values_that_hold_themselves_or_the_same_thing_often_are_read_once() -> None:
    many: Any = "fine"
    for _ in range(60):
        many = [many] * 9
    held: dict[str, Any] = {"many": many}
    held["self"] = held
    assert plain_values(held, "here") is held
    held["last"] = HALF
    with pytest.raises(UserError, match=BROKEN):
        plain_values(held, "here")


def test_a_caption_that_is_half_a_character_is_told_with_its_line(tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path, 1, captions=False)
    (folder / "metadata.jsonl").write_text(f'{{"file_name":"0.png","text":"cat {ESCAPED}"}}\n')
    with pytest.raises(UserError, match=rf"^metadata.jsonl line 1: 0.png: {BROKEN}$"):
        read_table(folder / "metadata.jsonl")
    (folder / "metadata.jsonl").unlink()
    with pytest.raises(UserError, match=r"0.png: the caption is not plain text"):
        write_captions(folder, {"0.png": HALF})


def test_a_line_of_captions_ends_at_a_line_feed_alone(tmp_path: Path) -> None:
    line = json.dumps({"file_name": "0.png", "text": "a cat\u2028at sea\x85"}, ensure_ascii=False)
    (tmp_path / "metadata.jsonl").write_text(line + "\n", encoding="utf-8")
    assert read_table(tmp_path / "metadata.jsonl").captions == {"0.png": "a cat\u2028at sea\x85"}


def test_a_picture_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path, 1)
    (folder / "0.png").rename(Path(f"{folder}/\udcff.png"))
    with pytest.raises(UserError, match=r"a name that is no Unicode text: \\udcff.png"):
        read_folder(folder, prompt="a cat")


def _written(content: str, read: Callable[[Path], Any], name: str = "x.json") -> Callable[[Path], Any]:
    def go(folder: Path) -> Any:
        (folder / name).write_text(content, encoding="utf-8")
        return read(folder / name)

    return go


CARD = {"name": "x", "base": {"name": "b", "family": "f", "fingerprint": "", "widths": {}}, "parts": {}}
RUN = {"data": "d", "name": "n"}
BORDERS: dict[str, Callable[[Path], Any]] = {
    "a JSON file": _written(f'{{"a": "{ESCAPED}"}}', lambda path: read_json(path, "card")),
    "an adapter's card": _written(
        json.dumps({**CARD, "licence": HALF}), lambda path: read_card(path.parent), "adapter.json"
    ),
    "a config file": _written(f'prompt: "{ESCAPED}"', read_config),
    "a run's settings": lambda folder: parse_config({**RUN, "prompt": HALF}),
    "a trigger": lambda folder: parse_config({**RUN, "trigger": f"x{HALF}"}),
    "a sample's prompt": lambda folder: parse_config({**RUN, "sample_prompts": [HALF]}, TextConfig),
    "a captioning's settings": lambda folder: CAPTIONS.parse({"name": "x", "data": "d", "prefix": HALF}),
    "a recipe": lambda folder: parse_recipe({"inputs": [{"adapter": "a", "weight": 1, "blocks": {HALF: 1}}]}),
    "a recipe file": _written(f'inputs: [{{adapter: "{ESCAPED}", weight: 1}}]', read_recipe, "r.yaml"),
    "a prompt": lambda folder: ImageRequest(HALF),
    "a negative prompt": lambda folder: ImageRequest("a", negative_prompt=HALF),
    "a question": lambda folder: TextRequest(HALF),
    "a chat": lambda folder: TextRequest(messages=({"role": "user", "content": HALF},)),
    "a stop text": lambda folder: TextRequest("a", stop=(HALF,)),
    "JSON in a file's metadata": lambda folder: json_of(f'{{"a": "{ESCAPED}"}}'),
    "saved votes": _written(f'{{"prompt": "{ESCAPED}"}}\n', lambda path: read_votes(path.parent), "votes.jsonl"),
    "a new vote": lambda folder: keep_vote(Library(folder), "b", {"chosen": HALF}),
    "saved trials": _written(f'{{"weights": {{"{ESCAPED}": 1}}}}\n', _read_trials),
    "a voice": _written(f'{{"messages": [{{"role": "assistant", "content": "{ESCAPED}"}}]}}\n', voice_texts),
    "a file that is written": lambda folder: write_text(folder / "x", f"fine\n{HALF}"),
    "a library's place": lambda folder: open_library(f"{folder}/{HALF}"),
    "a job": lambda folder: Engine(folder).submit("text_chat", {"columns": [{"messages": [HALF]}]}),
}


@pytest.mark.parametrize("border", BORDERS)
def test_every_border_refuses_half_a_character(border: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=BROKEN):
        BORDERS[border](tmp_path)


def test_all_rows_with_broken_texts_are_named(tmp_path: Path) -> None:
    lines = [
        f'{{"text": "{ESCAPED}"}}',
        '{"text": "fine"}',
        '{"text": "a\\u0000b"}',
        f'{{"text": "x", "{ESCAPED}": 1}}',
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError) as caught:
        read_texts(tmp_path / "x.jsonl")
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "- x.jsonl line 1: text: not plain text (a broken character)",
        "- x.jsonl line 3: text: not plain text (a NUL character)",
        "- x.jsonl line 4: \\ud83d: not plain text (a broken character)",
    ]


def test_settings_of_a_picture_that_are_broken_are_named_and_left(tmp_path: Path) -> None:
    found = checked_settings({"prompt": HALF, "seed": 3, "adapters": {HALF: 1}})
    assert found.values == {"seed": 3}
    assert found.unused == tuple(f"{key}: not plain text (a broken character)" for key in ("prompt", "adapters"))


def test_an_argument_of_broken_bytes_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--prompt", "\udcff"]) == 2
    assert capsys.readouterr().err == (
        "studio: Argument 3, '\\\\udcff', is not plain text (a broken character). Write it as UTF-8.\n"
    )


def test_what_a_terminal_cannot_show_is_printed_all_the_same(tmp_path: Path) -> None:
    folder = Path(f"{tmp_path}/adapters/\udcfe")
    folder.mkdir(parents=True)
    (folder / "adapter.json").write_text("{")
    said = subprocess.run(
        [sys.executable, "-m", "studio", "list", "--library", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (said.returncode, b"\\udcfe" in said.stdout) == (0, True), said.stderr


def answered(body: bytes, kind: bytes = b"application/json") -> tuple[int, bytes]:
    """Send a request in two pieces to an app that gives back what it gets; return status and body."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        found = b""
        while (message := await receive()).get("more_body"):
            found += message["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": found + message["body"]})

    pieces = [
        {"type": "http.request", "body": body[:5], "more_body": True},
        {"type": "http.request", "body": body[5:], "more_body": False},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": [(b"Content-Type", kind)]}
    apart(asyncio.run, PlainRequests(echo)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"data": ["fine"]}', 200),
        (b'{"data": ["\\ud83d\\ude00 whole"]}', 200),
        (b'{"data": ["a \\\\ud83d that is spelled"]}', 200),
        (b'{"data": ["\\ud83d"]}', 400),
        (b'{"data": [{"\\uDE00": 1}]}', 400),
        (b'{"data": ["\\u0000"]}', 400),
        (b'{"data": ["\xed\xa0\xbd"]}', 400),
        (b"no json \\ud83d", 200),
    ],
)
def test_the_app_is_sent_plain_text_alone(body: bytes, status: int) -> None:
    found = answered(body)
    assert found[0] == status
    assert found[1] == body if status == 200 else b"not plain text" in found[1]
    assert answered(body, b"multipart/form-data; boundary=x") == (200, body)


def test_votes_may_hold_any_line_end_of_unicode(tmp_path: Path) -> None:
    vote = Vote("a\u2028b", 1, None, None, "tie", *("",) * (len(fields(Vote)) - 5))
    (tmp_path / "votes.jsonl").write_text(json.dumps(asdict(vote), ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_votes(tmp_path) == [vote]
    voices = tmp_path / "v.jsonl"
    voices.write_text('{"messages": [{"role": "assistant", "content": "a\u2028b"}]}\n', encoding="utf-8")
    assert voice_texts(voices) == ["a\u2028b"]


def test_a_picture_with_broken_settings_of_ours_is_told(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    from pipelines.image_file import OWN_KEY, read_settings

    info = PngInfo()
    info.add_text(OWN_KEY, f'{{"prompt": "{ESCAPED}"}}')
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(UserError, match=rf"The settings in a.png: prompt: {BROKEN}"):
        read_settings(tmp_path / "a.png")
