"""Captions written back in their own form, bulk edits and undo, near-duplicates, datasets, and the jobs on pictures."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from studio.engine.jobs import engine_jobs
from studio.engine.workbench import Workbench
from studio.library.caption_edits import Change, History, planned, tag_counts
from studio.library.datasets import (
    check_writable,
    copy_dataset,
    dataset_names,
    datasets_folder,
    example_datasets,
    is_example,
    new_dataset,
)
from studio.library.image_index import ImageIndex, aspects_told, sizes_told
from studio.library.library import Library
from tests.support import draw_pictures
from trainers.data.captions import Caption, captions_of, write_captions
from trainers.data.images import open_image, read_folder
from trainers.data.likeness import near_duplicates, signature_of
from trainers.data.metadata import read_table
from trainers.errors import UserError


def work(library: Library, job: str, **arguments: Any) -> Mapping[str, Any]:
    """Run a job here and return its result."""
    bench = Workbench(library, lambda event: None, lambda: None)
    return [event for event in engine_jobs()[job].run(bench, arguments) if event["event"] == "result"][-1]


class TestWritingCaptions:
    def test_each_folder_keeps_its_form(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "pictures", 3)
        (folder / "1.txt").rename(folder / "1.caption")
        (folder / "2.txt").unlink()
        write_captions(folder, {"0.png": "new  zero", "1.png": "new one", "2.png": "new two"})
        assert {name: (c.text, c.source) for name, c in captions_of(folder).items()} == {
            "0.png": ("new zero", ".txt"),
            "1.png": ("new one", ".caption"),
            "2.png": ("new two", ".txt"),
        }
        assert [picture.caption for picture in read_folder(folder).pictures] == ["new zero", "new one", "new two"]

    def test_a_metadata_file_keeps_its_other_fields_and_order(self, tmp_path: Path) -> None:
        folder = draw_pictures(tmp_path / "pictures", 3, captions=False)
        lines = [{"file_name": "1.png", "caption": "one", "extra": [1]}, {"file_name": "0.png", "text": "zero", "é": 2}]
        (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        write_captions(folder, {"1.png": "uno", "2.png": "dos"})
        written = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
        assert written == [{**lines[0], "caption": "uno"}, lines[1], {"file_name": "2.png", "text": "dos"}]
        assert read_table(folder / "metadata.jsonl").captions == {"1.png": "uno", "0.png": "zero", "2.png": "dos"}
        assert not list(folder.glob("*.txt"))

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("0.png", " ", "empty"),
            ("9.png", "x", "not a picture"),
            ("../0.png", "x", "not a picture"),
            ("0.png", "a\0b", "plain text"),
            ("0.png", "x" * 10_001, "plain text"),
        ],
    )
    def test_what_cannot_be_written_changes_nothing(self, tmp_path: Path, name: str, text: str, said: str) -> None:
        folder = draw_pictures(tmp_path / "pictures", 2)
        before = captions_of(folder)
        with pytest.raises(UserError, match=said):
            write_captions(folder, {"1.png": "good", name: text})
        assert captions_of(folder) == before


class TestEdits:
    @settings(max_examples=50)
    @given(st.lists(st.text("ab, ", min_size=1, max_size=12), min_size=1, max_size=5), st.text("ab, ", max_size=4))
    def test_a_prefix_is_what_python_says(self, texts: list[str], prefix: str) -> None:
        captions = {str(number): Caption(" ".join(text.split()), ".txt") for number, text in enumerate(texts)}
        if not prefix.strip():
            with pytest.raises(UserError):
                planned(captions, "prefix", prefix)
            return
        changes = {change.name: change.after for change in planned(captions, "prefix", prefix)}
        for name, caption in captions.items():
            wanted = " ".join((prefix + caption.text).split())
            assert changes.get(name, caption.text) == (wanted if caption.text else caption.text)

    def test_replace_remove_and_count(self) -> None:
        captions = {"a": Caption("red box, paper"), "b": Caption("box, red box"), "c": Caption("", problem="none")}
        assert [c.after for c in planned(captions, "replace", "red box", "cat")] == ["cat, paper", "box, cat"]
        assert [c.after for c in planned(captions, "remove_tag", "box")] == ["red box"]
        assert tag_counts(captions.values()) == [("red box", 2), ("paper", 1), ("box", 1)]
        with pytest.raises(UserError, match="without a caption"):
            planned({"a": Caption("box")}, "remove_tag", "box")

    def test_undo_gives_back_and_refuses_what_changed_since(self, tmp_path: Path) -> None:
        folder, history = draw_pictures(tmp_path / "p", 3), History(Library(tmp_path / "l"), tmp_path / "p")
        before = captions_of(folder)
        history.apply(planned(before, "prefix", "zqx, "))
        history.apply([Change("0.png", "zqx, a red circle, paper", "other")])
        assert [change.name for change in history.undo()] == ["0.png"]
        (folder / "1.txt").write_text("by hand")
        with pytest.raises(UserError, match=r"1\.png says 'by hand' now"):
            history.undo()
        assert captions_of(folder)["0.png"].text.startswith("zqx, ")
        (folder / "1.txt").write_text("zqx, " + before["1.png"].text)
        history.undo()
        assert captions_of(folder) == before
        with pytest.raises(UserError, match="no edit"):
            history.undo()
        with pytest.raises(UserError, match="changed meanwhile"):
            history.apply([Change("0.png", "not so", "x")])


class TestLikeness:
    def test_copies_at_another_size_and_quality_are_found_and_nothing_else(self) -> None:
        originals = {path.name: open_image(path) for path in sorted(example_datasets()["styles/woodcut"].glob("*.jpg"))}
        copies = {}
        for name, picture in originals.items():
            buffer = io.BytesIO()
            picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)).save(buffer, "JPEG", quality=60)
            copies["copy-" + name] = Image.open(buffer).convert("RGB")
        signatures = {name: signature_of(picture) for name, picture in {**originals, **copies}.items()}
        found = {frozenset((pair.first, pair.second)) for pair in near_duplicates(signatures)}
        assert found == {frozenset((name, "copy-" + name)) for name in originals}

    def test_bits_are_those_of_the_formula(self) -> None:
        values = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
        signature = signature_of(Image.fromarray(values).resize((90, 80), Image.Resampling.NEAREST).convert("RGB"))
        across = "".join("1" if row[i + 1] > row[i] else "0" for row in values.astype(int) for i in range(8))
        assert f"{int(signature[:16], 16):064b}" == across
        assert near_duplicates({"one": signature}) == []


class TestDatasets:
    def test_what_ships_is_read_only_and_a_copy_is_not(self, tmp_path: Path) -> None:
        library, source = Library(tmp_path / "library"), example_datasets()["styles/neon"]
        assert is_example(source)
        with pytest.raises(UserError, match="Copy it to your datasets"):
            check_writable(source)
        folder = copy_dataset(library, source, "mine")
        check_writable(folder)
        assert captions_of(folder) == captions_of(source)
        assert dataset_names(library) == ["mine"]
        for name, said in (("mine", "already"), ("../x", "cannot be used"), (".hidden", "cannot be used")):
            with pytest.raises(UserError, match=said):
                copy_dataset(library, source, name)

    def test_added_pictures_get_our_names_and_what_is_refused_is_named(self, tmp_path: Path) -> None:
        library = Library(tmp_path / "library")
        folder = new_dataset(library, "mine")
        given_folder = draw_pictures(tmp_path / "given", 2)
        odd = tmp_path / "<img src=x>.JPG"
        open_image(given_folder / "0.png").rotate(90).save(odd, "PNG")  # the ending lies: it is a PNG
        odd.with_suffix(".txt").write_text("an odd one")
        (tmp_path / "bad.png").write_bytes(b"\x89PNG no")
        (tmp_path / "alone.txt").write_text("no picture")
        (tmp_path / "page.html").write_text("<p>")
        names = ["bad.png", "alone.txt", "page.html", "gone.png"]
        files = [given_folder, odd, odd.with_suffix(".txt"), *(tmp_path / name for name in names)]
        found = work(library, "add_images", dataset="mine", files=list(map(str, files)))
        assert [old for _, old in found["added"]] == [odd.name, "0.png", "1.png"]
        assert [name for name, _ in found["added"]] == ["0001.png", "0002.png", "0003.png"]
        assert captions_of(folder)["0001.png"].text == "an odd one"
        assert len(captions_of(folder)) == 3
        assert all(any(name.partition(".")[0] in sentence for sentence in found["refused"]) for name in names)
        again = work(library, "add_images", dataset="mine", files=[str(given_folder / "0.png")])
        assert not again["added"]
        assert "the same file as 0002.png" in again["refused"][0]
        assert not list(folder.glob(".*"))
        with pytest.raises(UserError):
            work(library, "add_images", dataset="../mine", files=[str(odd)])
        with pytest.raises(UserError, match="Nothing was given"):
            work(library, "add_images", dataset="mine", files=[])
        assert datasets_folder(library).name == "datasets"

    def test_a_survey_opens_what_is_new_and_names_what_cannot_be_read(self, tmp_path: Path) -> None:
        library, folder = Library(tmp_path / "library"), draw_pictures(tmp_path / "p", 3)
        (folder / "2.png").write_bytes(b"no")
        index = ImageIndex(library, folder)
        assert index.unknown() == ["0.png", "1.png", "2.png"]
        assert work(library, "survey_images", folder=str(folder))["opened"] == 3
        known = index.read()
        assert "2.png: cannot be decoded" in known["2.png"].problem
        assert sizes_told(known) == [("40 × 40", 2)]
        assert aspects_told(known) == [("1:1", 2)]
        assert all(open_image(index.thumbnail(name, item)) for name, item in known.items())
        Image.new("RGB", (1200, 600), "red").save(folder / "1.png")
        os.utime(folder / "1.png", ns=(1, 1))
        assert index.unknown() == ["1.png"]
        assert work(library, "survey_images", folder=str(folder))["opened"] == 1
        assert open_image(index.thumbnail("1.png", index.read()["1.png"])).size == (512, 256)
        assert len(list(index.place.glob("*.jpg"))) == 3
        (index.place / "index.json").write_text("{broken")
        assert len(index.unknown()) == 3
