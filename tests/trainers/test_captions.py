"""Captions from every source, counted; a caption that cannot be meant is refused with the picture's name."""

import json
from pathlib import Path

import pytest

from tests.support import draw_pictures
from trainers.data.images import read_folder
from trainers.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_pictures(tmp_path / "data", 4, captions=False)


def captions(folder: Path, **options: str) -> dict[str, str]:
    return {p.path.name: p.caption for p in read_folder(folder, **options).pictures}  # type: ignore[arg-type]


def metadata(folder: Path, *entries: object) -> None:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_captions_come_from_every_source_and_are_counted(folder: Path) -> None:
    (folder / "0.txt").write_text("from a text\n")
    (folder / "1.caption").write_text("from  a\ncaption")
    metadata(folder, {"file_name": "2.png", "text": "from data"}, {"file_name": "3.png", "caption": "from data too"})
    found = read_folder(folder)
    assert [p.caption for p in found.pictures] == ["from a text", "from a caption", "from data", "from data too"]
    assert found.caption_sources == {".txt": 1, ".caption": 1, "metadata.jsonl": 2}


def test_one_prompt_for_all_replaces_caption_files(folder: Path) -> None:
    (folder / "0.txt").write_text("ignored")
    assert set(captions(folder, prompt="a drawing").values()) == {"a drawing"}
    assert read_folder(folder, prompt="a drawing").caption_sources == {"prompt": 4}
    with pytest.raises(UserError, match="--prompt is empty"):
        captions(folder, prompt="  ")


def test_the_trigger_is_put_before_every_caption(folder: Path) -> None:
    assert set(captions(folder, prompt="a drawing", trigger="zqx").values()) == {"zqx, a drawing"}
    assert set(captions(folder, prompt="a drawing", trigger=" ").values()) == {"a drawing"}


def test_marks_accents_and_emoji_survive(folder: Path) -> None:
    text = "ein grünes Häuschen 🏠, Ölfarbe, שלום"
    for number in range(4):
        (folder / f"{number}.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert set(captions(folder).values()) == {text}


def test_equal_captions_in_two_places_are_one(folder: Path) -> None:
    for number in range(4):
        (folder / f"{number}.txt").write_text("same")
        (folder / f"{number}.caption").write_text("same\n")
    assert set(captions(folder).values()) == {"same"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("船と女の子".encode("shift_jis"), r"The encoding of 0\.txt cannot be told"),
        (b"a\0boat", r"0\.png: its caption in \.txt is not plain text"),
        (b"", r"0\.png has an empty caption in \.txt"),
        (b" \n\t", r"0\.png has an empty caption in \.txt"),
        (b"x" * 20_000, r"0\.png: its caption in \.txt is not plain text of a sensible length"),
    ],
)
def test_a_caption_file_that_cannot_be_meant_is_named(folder: Path, content: bytes, reason: str) -> None:
    for number in range(1, 4):
        (folder / f"{number}.txt").write_text("fine")
    (folder / "0.txt").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_folder(folder)


def test_missing_and_conflicting_captions_are_all_named_at_once(folder: Path) -> None:
    (folder / "0.txt").write_text("one")
    (folder / "0.caption").write_text("another")
    (folder / "1.txt").write_text("fine")
    with pytest.raises(UserError) as caught:
        read_folder(folder)
    message = str(caught.value)
    assert "0.png has different captions in .txt and .caption" in message
    assert "2.png has no caption" in message
    assert "3.png has no caption" in message
    assert "1.png" not in message


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        '{"text": "no name"}',
        '{"file_name": 3, "text": "x"}',
        '{"file_name": "0.png", "text": ["x"]}',
        '{"file_name": "0.png", "text": null}',
        "[" * 100_000,
    ],
)
def test_a_broken_line_of_metadata_is_named_by_its_number(folder: Path, line: str) -> None:
    (folder / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "fine"}\n\n' + line + "\n")
    with pytest.raises(UserError, match=r"metadata\.jsonl, line 3: expected"):
        read_folder(folder)


def test_two_lines_about_one_picture_must_agree(folder: Path) -> None:
    entries = [{"file_name": f"{n}.png", "text": "fine"} for n in range(4)]
    metadata(folder, *entries, entries[0])
    assert len(captions(folder)) == 4
    metadata(folder, *entries, {"file_name": "0.png", "text": "other"})
    with pytest.raises(UserError, match=r"line 5: 0\.png has another caption"):
        read_folder(folder)


def test_a_folder_that_is_none_or_holds_no_pictures_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        read_folder(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no pictures\. Put"):
        read_folder(tmp_path / "empty")
    draw_pictures(tmp_path / "parent" / "inside", 3)
    with pytest.raises(UserError, match=r"inside \(3\)"):
        read_folder(tmp_path / "parent")
