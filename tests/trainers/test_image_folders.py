"""Folders of pictures as users have them: encodings, repeats, tables, and all that is passed over, named."""

import json
import os
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support import draw_pictures
from trainers.data.captions import captions_of, read_captions, write_captions
from trainers.data.encoding import UTF_8, UTF_16, UTF_32, WINDOWS_1252, decode
from trainers.data.images import ImageFolder, read_folder
from trainers.data.latents import Latents
from trainers.data.listing import list_folder
from trainers.data.order import data_order
from trainers.errors import UserError

_ACCENTED = "café 01"


def notes_of(folder: Path, **options: str) -> str:
    return "\n".join(read_folder(folder, **options).notes)  # type: ignore[arg-type]


def captions(found: ImageFolder) -> dict[str, str]:
    return {picture.name: picture.caption for picture in found.pictures}


class TestEncodings:
    @pytest.mark.parametrize(
        ("content", "text", "encoding"),
        [
            (b"a cat\x92s boat", "a cat’s boat", WINDOWS_1252),
            ("grün, „Boot“, déjà vu, “a” – b…".encode("cp1252"), "grün, „Boot“, déjà vu, “a” – b…", WINDOWS_1252),
            (b"a\xa0boat", "a\xa0boat", WINDOWS_1252),
            ("a boat".encode("utf-16"), "a boat", UTF_16),
            ("船 é".encode("utf-16"), "船 é", UTF_16),
            ("a boat, 船".encode("utf-16-le"), "a boat, 船", UTF_16),
            ("a boat".encode("utf-16-be"), "a boat", UTF_16),
            ("a boat".encode("utf-32"), "a boat", UTF_32),
            ("é 船".encode("utf-32-be"), "é 船", UTF_32),
            (b"\xef\xbb\xbf" + "船".encode(), "船", UTF_8),
            ("it’s é 船".encode(), "it’s é 船", UTF_8),
            (b"", "", UTF_8),
        ],
    )
    def test_a_text_is_read_in_the_encoding_that_it_has(self, content: bytes, text: str, encoding: str) -> None:
        found = decode(content)
        assert (found.text, found.encoding) == (text, encoding)

    @pytest.mark.parametrize(
        ("text", "codec"),
        [
            ("红色的船", "gbk"),
            ("1girl, 好", "gbk"),
            ("女の子", "shift_jis"),
            ("猫", "shift_jis"),
            ("紅色的船", "big5"),
            ("красная лодка", "cp1251"),
            ("red кот boat", "cp1251"),
            ("빨간 배", "euc_kr"),
        ],
    )
    def test_what_would_read_as_nonsense_is_refused(self, text: str, codec: str) -> None:
        with pytest.raises(UnicodeError):
            decode(text.encode(codec))

    def test_a_broken_place_in_utf_8_and_a_cut_utf_16_are_refused(self) -> None:
        for content in (b"it\xe2\x80\x99s a cat\x92s", b"\xff\xfea\0b"):
            with pytest.raises(UnicodeError):
                decode(content)

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1))
    def test_utf_8_is_never_taken_for_anything_else(self, text: str) -> None:
        assert decode(text.encode()).text == text

    def test_all_caption_files_are_read_alike_and_those_in_other_encodings_named(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 5, captions=False)
        (folder / "0.txt").write_bytes(b"it\x92s")
        (folder / "1.caption").write_bytes("boat".encode("utf-16"))
        (folder / "2.txt").write_text("plain")
        (folder / "metadata.jsonl").write_bytes(json.dumps({"file_name": "3.png", "text": "x"}).encode("utf-8-sig"))
        (folder / "metadata.csv").write_bytes('file_name,text\n4.png,"caf\xe9, red"\n'.encode("latin-1"))
        found = read_folder(folder)
        assert list(captions(found).values()) == ["it’s", "boat", "plain", "x", "café, red"]
        said = "\n".join(found.notes)
        assert "2 caption files are not UTF-8, and read all the same: 0.txt (Windows-1252), 1.caption (UTF-16)." in said
        assert "1 caption file is not UTF-8, and read all the same: metadata.csv (Windows-1252)." in said


class TestNames:
    @pytest.mark.parametrize("ending", [".TXT", ".Caption"])
    def test_the_ending_of_a_caption_may_be_in_capitals(self, tmp_path: Path, ending: str) -> None:
        folder = draw_pictures(tmp_path / "d", 1)
        (folder / "0.png").rename(folder / "A.PNG")
        (folder / "0.txt").rename(folder / f"A{ending}")
        assert list(captions(read_folder(folder)).values()) == ["a red circle, paper"]
        assert read_folder(folder).caption_sources == {ending.lower(): 1}

    def test_so_may_the_name_unless_another_file_has_it_exactly(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1)
        (folder / "0.png").rename(folder / "IMG_1.jpg")
        (folder / "0.txt").rename(folder / "img_1.txt")
        assert captions(read_folder(folder)) == {"IMG_1.jpg": "a red circle, paper"}
        (folder / "IMG_1.txt").write_text("exactly")
        assert captions(read_folder(folder)) == {"IMG_1.jpg": "exactly"}
        assert "1 caption belongs to no picture that is read: img_1.txt." in notes_of(folder)

    @pytest.mark.parametrize(("picture", "caption"), [("NFD", "NFC"), ("NFC", "NFD")])
    @pytest.mark.parametrize("form", [".txt", "metadata.jsonl", "metadata.csv"])
    def test_an_accent_is_one_letter_however_it_is_written(
        self, tmp_path: Path, picture: str, caption: str, form: str
    ) -> None:
        folder = draw_pictures(tmp_path / "d", 1, captions=False)
        (folder / "0.png").rename(folder / f"{unicodedata.normalize(picture, _ACCENTED)}.png")  # type: ignore[arg-type]
        name = unicodedata.normalize(caption, _ACCENTED)  # type: ignore[arg-type]
        if form == ".txt":
            (folder / f"{name}.txt").write_text("found")
        elif form == "metadata.csv":
            (folder / form).write_text(f"file_name,text\n{name}.png,found\n")
        else:
            (folder / form).write_text(json.dumps({"file_name": f"{name}.png", "text": "found"}))
        assert list(captions(read_folder(folder)).values()) == ["found"]
        write_captions(folder, {next(iter(captions_of(folder))): "changed"})
        assert [(c.text, c.source) for c in captions_of(folder).values()] == [("changed", form)]
        assert len(list(folder.iterdir())) == 2

    def test_two_writings_of_a_name_that_disagree_are_refused(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1)
        (folder / "0.TXT").write_text("another")
        with pytest.raises(UserError, match=r"0\.png has different captions in \.TXT and \.txt"):
            read_folder(folder)

    def test_hidden_files_are_no_pictures(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1)
        (folder / "._0.png").write_bytes(b"\0\5\x16\7")
        (folder / "._0.txt").write_bytes(b"\0\5\x16\7")
        (folder / ".DS_Store").touch()
        draw_pictures(folder / ".ipynb_checkpoints", 1)
        assert list(captions(read_folder(folder))) == ["0.png"]
        assert notes_of(folder) == ("4 hidden files are not read: .DS_Store, ._0.png, ._0.txt, .ipynb_checkpoints/.")


class TestPassedOver:
    def test_all_that_is_passed_over_is_counted_and_named(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1)
        draw_pictures(folder / "sub", 2)
        draw_pictures(folder / "sub" / "deeper", 1)
        (folder / "texts").mkdir()
        (folder / "texts" / "0.txt").touch()
        (folder / "nothing").mkdir()
        for name in ("b.bmp", "c.HEIC", "b.txt", "gone.caption", "captions.csv", "metadata.json1", "0.png~"):
            (folder / name).write_text("x")
        assert read_folder(folder).notes == (
            "sub/ holds 3 pictures that are not read.",
            "texts/ holds 1 caption file that is not read.",
            "2 pictures have a form that is not read (.bmp, .heic): b.bmp, c.HEIC. Save as PNG, JPEG or WebP what is "
            "to be learned.",
            "3 other files are not read: 0.png~, captions.csv, metadata.json1.",
            "2 captions belong to no picture that is read: b.txt, gone.caption.",
        )

    @given(
        st.lists(
            st.from_regex(r"\.?[xy](|~|\.(txt|TXT|caption|bmp|Avif|json|npz|png\.txt))", fullmatch=True), max_size=6
        )
    )
    def test_every_file_is_read_or_named(self, tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
        folder = draw_pictures(tmp_path_factory.mktemp("f") / "d", 1)
        for name in names:
            (folder / name).write_text("x")
        said = notes_of(folder)
        assert all(name in said for name in names)

    def test_pictures_that_share_a_caption_file_are_named(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1)
        shutil.copy(folder / "0.png", folder / "0.jpg")
        shared = "2 pictures share one caption file, 0.txt: 0.jpg, 0.png."
        assert notes_of(folder) == shared
        (folder / "0.txt").unlink()
        assert read_captions(list_folder(folder)).notes == (shared,)
        (folder / "metadata.csv").write_text("file_name,text\n0.jpg,one\n0.png,two\n")
        assert notes_of(folder) == ""

    def test_captions_that_a_prompt_replaces_are_named(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 2)
        assert "2 caption files are not read, since one prompt is given for all pictures: 0.txt, 1.txt." in notes_of(
            folder, prompt="a thing"
        )

    def test_a_folder_without_pictures_that_are_read_says_what_it_holds(self, tmp_path: Path) -> None:
        (tmp_path / "phone").mkdir()
        (tmp_path / "phone" / "c.HEIC").touch()
        with pytest.raises(UserError, match=r"no pictures that are read.*1 picture has a form.*\(\.heic\): c\.HEIC"):
            read_folder(tmp_path / "phone")
        draw_pictures(tmp_path / "project" / "img" / "10_boat", 1)
        with pytest.raises(UserError, match="Folders with repeats lie in img: give that one"):
            read_folder(tmp_path / "project")
        draw_pictures(tmp_path / "backward" / "10_girl" / "images", 2)
        with pytest.raises(UserError, match=r"Its folders hold some: 10_girl/images \(2\)\. Give one of them"):
            read_folder(tmp_path / "backward")

    def test_a_name_that_is_no_unicode_is_named(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1)
        shutil.copy(folder / "0.png", os.fsencode(folder) + b"/b\xe9.png")
        assert notes_of(folder) == "1 file is not read, for a name that is no Unicode text: b\\udce9.png."


class TestTables:
    @pytest.mark.parametrize("written", ["train/{}", "train\\{}", "./{}", "d/train/{}"])
    @pytest.mark.parametrize("form", ["metadata.jsonl", "metadata.csv"])
    def test_a_name_may_have_the_folders_in_front(self, tmp_path: Path, written: str, form: str) -> None:
        folder = draw_pictures(tmp_path / "d" / "train", 2, captions=False)
        names = [written.format(f"{number}.png") for number in range(2)]
        if form == "metadata.csv":
            (folder / form).write_text("file_name,text\n" + "".join(f"{name},a cat\n" for name in names))
        else:
            (folder / form).write_text("".join(json.dumps({"file_name": n, "text": "a cat"}) + "\n" for n in names))
        assert captions(read_folder(folder)) == {"0.png": "a cat", "1.png": "a cat"}
        write_captions(folder, {"0.png": "a dog, red"})
        assert captions(read_folder(folder)) == {"0.png": "a dog, red", "1.png": "a cat"}
        assert names[0].replace("\\", "\\\\" if form == "metadata.jsonl" else "\\") in (folder / form).read_text()

    def test_pictures_of_another_folder_are_named_with_the_missing_captions(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1, captions=False)
        (folder / "metadata.jsonl").write_text('{"file_name": "images/0.png", "text": "a cat"}')
        with pytest.raises(UserError) as caught:
            read_folder(folder)
        assert "0.png has no caption" in str(caught.value)
        assert "metadata.jsonl speaks of 1 picture not here: images/0.png." in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("metadata.jsonl", '{"file_name": "0.png", "additional_feature": "a cat"}',
             r"line 1: it has no text or caption; it has file_name, additional_feature"),
            ("metadata.csv", "file_name,label\n0.png,a cat\n", "line 2: it has no text or caption; it has file_name"),
            ("metadata.csv", "image,prompt\n0.png,a cat\n", "expected the columns file_name and text, found image"),
            ("metadata.csv", "file_name;text\n0.png;a cat\n", "found file_name;text"),
            ("metadata.csv", "file_name,text\n0.png,a cat, red\n", "line 2: it has more fields than 2 columns"),
            ("metadata.csv", 'file_name,text\n0.png,"a cat\n', "cannot be read as CSV"),
            ("metadata.csv", "file_name,text\n0.png\n", "line 2: expected"),
        ],
    )  # fmt: skip
    def test_a_table_without_what_is_needed_says_what_it_has(
        self, tmp_path: Path, name: str, content: str, said: str
    ) -> None:
        folder = draw_pictures(tmp_path / "d", 1, captions=False)
        (folder / name).write_text(content)
        with pytest.raises(UserError, match=said):
            read_folder(folder)

    def test_columns_that_are_not_used_are_named_and_stay_when_captions_change(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 2, captions=False)
        (folder / "metadata.csv").write_text('file_name,caption,score\n0.png,"one, two",3\n')
        assert read_captions(list_folder(folder)).notes == ("Columns of metadata.csv that are not used: score.",)
        write_captions(folder, {"0.png": "uno, dos", "1.png": "new"})
        assert (folder / "metadata.csv").read_text() == 'file_name,caption,score\n0.png,"uno, dos",3\n1.png,new,\n'

    def test_a_line_end_of_another_kind_may_stand_in_a_caption(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "d", 1, captions=False)
        (folder / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "a\u2028cat\x85"}\n', encoding="utf-8")
        assert captions(read_folder(folder)) == {"0.png": "a cat"}
        write_captions(folder, {"0.png": "a dog"})
        assert captions(read_folder(folder)) == {"0.png": "a dog"}


class TestRepeats:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        draw_pictures(root / "10_ink boat", 2, captions=False)
        (root / "10_ink boat" / "0.txt").write_text("its own")
        draw_pictures(root / "4_sky", 3)
        return root

    def test_folders_with_repeats_are_read_with_them(self, root: Path) -> None:
        found = read_folder(root, trigger="zqx")
        assert captions(found) == {
            "10_ink boat/0.png": "zqx, its own",
            "10_ink boat/1.png": "zqx, ink boat",
            "4_sky/0.png": "zqx, a red circle, paper",
            "4_sky/1.png": "zqx, a green box, paper",
            "4_sky/2.png": "zqx, a blue line, paper",
        }
        assert [picture.repeats for picture in found.pictures] == [10, 10, 4, 4, 4]
        assert found.facts() == {
            "pictures": "5",
            "captions": "4 from .txt, 1 from folder name",
            "repeats": "10_ink boat 2 pictures × 10, 4_sky 3 pictures × 4",
        }
        assert found.notes == (
            "10_ink boat/: 1 picture without a caption file, taken for 'ink boat' after the folder's name, as kohya's "
            "trainers do.",
        )

    def test_a_caption_that_cannot_be_read_is_named_with_its_folder(self, root: Path) -> None:
        (root / "4_sky" / "0.txt").write_bytes("船".encode("gbk"))
        with pytest.raises(UserError, match=r"4_sky/: The encoding of 0\.txt cannot be told"):
            read_folder(root)

    def test_plain_folders_and_files_beside_them_are_named(self, root: Path) -> None:
        draw_pictures(root / "extra", 1)
        draw_pictures(root / "2024_holiday", 2)
        draw_pictures(root / "0_off", 1)
        draw_pictures(root / "4_sky" / "sub", 1)
        (root / "alone.txt").touch()
        assert len(read_folder(root).pictures) == 5
        said = notes_of(root)
        for name in ("extra/", "2024_holiday/", "0_off/", "4_sky/sub/", "alone.txt"):
            assert name in said

    def test_beside_pictures_of_the_folder_itself_they_are_passed_over(self, root: Path) -> None:
        draw_pictures(root, 1)
        assert list(captions(read_folder(root))) == ["0.png"]
        assert "10_ink boat/ holds 2 pictures that are not read." in notes_of(root)

    def test_a_table_above_speaks_of_them_by_their_names(self, root: Path) -> None:
        (root / "metadata.jsonl").write_text(
            '{"file_name": "10_ink boat/1.png", "text": "told above"}\n{"file_name": "1.png", "text": "nowhere"}'
        )
        assert captions(read_folder(root))["10_ink boat/1.png"] == "told above"
        assert "metadata.jsonl speaks of 1 picture not here: 1.png." in notes_of(root)

    def test_captions_are_written_into_each_folder(self, root: Path) -> None:
        write_captions(root, {"10_ink boat/1.png": "new", "4_sky/0.png": "other"})
        assert (root / "10_ink boat" / "1.txt").read_text() == "new\n"
        assert captions(read_folder(root))["4_sky/0.png"] == "other"
        with pytest.raises(UserError, match="not a picture"):
            write_captions(root, {"10_ink boat/../4_sky/0.png": "x"})

    @pytest.mark.parametrize("repeats", [(10, 10, 4, 4, 4), (3, 1), (1, 1, 1)])
    def test_a_pass_sees_each_picture_as_often_as_its_repeats(self, repeats: tuple[int, ...]) -> None:
        nothing = torch.zeros(len(repeats), 1, 1, 1)
        seen = Latents(nothing, nothing, tuple("abcde"[: len(repeats)]), repeats).one_pass
        for number in range(3):
            counted = Counter(seen[at] for at in data_order(len(seen), number * sum(repeats), sum(repeats), seed=5))
            assert counted == dict(enumerate(repeats))

    def test_equal_repeats_are_no_repeats(self) -> None:
        nothing = torch.zeros(3, 1, 1, 1)
        assert Latents(nothing, nothing, ("a", "b", "c"), (7, 7, 7)).one_pass == (0, 1, 2)
        assert Latents(nothing, nothing, ("a", "b", "c")).one_pass == (0, 1, 2)
