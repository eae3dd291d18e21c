"""Any printable name is one, its folder can be had everywhere and leads back to it, and nothing leads out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.errors import UserError
from trainers.names import FORBIDDEN, check_name, folder_name, folder_of, name_of, names_in, usable_name

NAMES = [
    "my style",
    "水墨 船",
    "Café Noir",
    "🛥️ 👨‍👩‍👧",
    'a & b\'s "c" #1? 100%',
    "نقاشی‌ها",
    "CON",
    "lpt1.v2",
    "v1.",
    "x" * 100,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_printable_name_is_kept_and_its_folder_leads_back(name: str, tmp_path: Path) -> None:
    assert check_name(name) == name
    folder = folder_of(tmp_path, name)
    folder.mkdir()
    assert name_of(folder.name) == name
    assert folder_of(tmp_path, name) == folder
    assert names_in(tmp_path) == {name: folder}


@given(st.text(max_size=110))
def test_whatever_is_accepted_has_a_safe_folder_that_leads_back(text: str) -> None:
    try:
        name = check_name(text)
    except UserError:
        name = usable_name(text, "otherwise")
        assert check_name(name) == name
    folder = folder_name(name)
    assert name_of(folder) == name
    assert len(folder.encode()) <= 255
    assert not set(folder) & set('<>:"/\\|?*\0')
    assert folder[-1] not in ". "
    assert folder.partition(".")[0].upper() not in ("CON", "PRN", "AUX", "NUL", "COM1", "LPT9")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("../x", "begins with '.'"),
        ("-x", "begins with '-'"),
        ("~x", "begins with '~'"),
        ("a/b", "'/' stands for folders"),
        ("a\\b", "stands for folders"),
        ("ink:2", "':' stands for weights, as in ink:0.5"),
        ("ink@2", "'@' stands for steps of a run"),
        ("a,b", "',' stands for lists"),
        ("ink+night", "'+' stands for sums"),
        ("a=b", "'=' stands for settings"),
        ("<lora", "'<' stands for tags"),
        ("{rank}", "'{' stands for places"),
        ("a\0b", "U+0000"),
        ("a\nb", "U+000A"),
        ("a\x1b[2J", "U+001B"),
        ("a\u202eb", "U+202E (right-to-left override), which cannot be seen"),
        ("a\u200b", "U+200B (zero width space)"),
        ("a\u3000b", "U+3000 (ideographic space)"),
        ("\ud800", "U+D800"),
        ("\u2800", "U+2800"),
        (" a", "begins or ends with a space"),
        ("x" * 101, "it has 101 characters, and at most 100"),
        ("水" * 90, "it takes 270 bytes as a file name, and at most 200"),
    ],
)
def test_what_no_name_can_be_is_told_with_the_reason(name: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        folder_of(tmp_path, name)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_forbidden_sign_has_its_reason() -> None:
    for sign, meaning in FORBIDDEN.items():
        with pytest.raises(UserError, match=meaning.replace("{", "\\{")[:6]):
            check_name(f"a{sign}b")


def test_names_that_differ_in_capitals_alone_have_folders_of_their_own(tmp_path: Path) -> None:
    for name in ("Ink", "ink", "INK"):
        folder_of(tmp_path, name).mkdir()
    folders = [path.name.casefold() for path in tmp_path.iterdir()]
    assert len(set(folders)) == 3
    assert set(names_in(tmp_path)) == {"Ink", "ink", "INK"}
    for name in ("Ink", "ink", "INK"):
        assert name_of(folder_of(tmp_path, name).name) == name
        assert folder_of(tmp_path, name).is_dir()


def test_composed_and_decomposed_letters_are_one_name(tmp_path: Path) -> None:
    (tmp_path / "Cafe\u0301").mkdir()  # as a Mac or an archive from one writes it
    assert folder_of(tmp_path, "Caf\u00e9") == folder_of(tmp_path, "Cafe\u0301") == tmp_path / "Cafe\u0301"
    assert list(names_in(tmp_path)) == ["Caf\u00e9"]


@pytest.mark.parametrize("folder", ["=2E=2E=2Fx", "a=2Fb", "=00", "=~2", "a=E2b", "<b>x"])
def test_a_foreign_folders_name_never_decodes_to_what_no_name_may_be(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    assert names_in(tmp_path) == {folder: tmp_path / folder}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my style v2", "my style v2"),
        ("ink: v2 <final>", "ink- v2 -final"),
        ("..\\..\\windows", "windows"),
        ("水墨　船", "水墨-船"),
        ("a\u202eb", "a-b"),
        ("///", "otherwise"),
        ("水" * 200, "水" * 66),
    ],
)
def test_a_files_name_becomes_a_usable_one(text: str, name: str) -> None:
    assert usable_name(text, "otherwise") == name
