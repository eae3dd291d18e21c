"""What is told of a folder of pictures, the same in the terminal, in Preflight and in the Data tab; repeats in runs."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.bases import load_image_base
from studio.app.data.dataset_view import view_of
from studio.app.shared.progress_line import notes_html
from studio.engine.jobs import engine_jobs
from studio.engine.workbench import Workbench
from studio.library.datasets import copy_dataset
from studio.library.library import Library
from studio.report import Quiet
from studio.runs.kinds import run_kinds
from studio.runs.kinds.images.long_captions import long_caption_notes, surely_long_notes
from studio.runs.kinds.images.preflight import preflight_images
from studio.runs.kinds.text.work import read_training_texts
from studio.runs.run import Run, create_run, execute
from tests.support import draw_pictures, write_tiny_captioner
from trainers.adapter import read_adapter
from trainers.config import RunConfig, parse_config
from trainers.data.captions import captions_of
from trainers.data.images import Picture, read_folder
from trainers.errors import UserError
from trainers.text_config import TextConfig

_LONG = "zqx, " + "word, " * 60


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two folders with repeats, one picture without a caption, and a thing of each kind that is passed over."""
    root = tmp_path / "root"
    draw_pictures(root / "3_ink boat", 2, captions=False)
    draw_pictures(root / "1_sky", 2)
    (root / "3_ink boat" / "0.txt").write_bytes(b"a boat\x92s sail")
    (root / "1_sky" / "1.txt").write_text(_LONG)
    draw_pictures(root / "more", 1)
    for name in ("b.bmp", "gone.txt", "notes.md", "._0.png"):
        (root / "1_sky" / name).write_text("x")
    return root


def config(base: Path, data: Path, **values: Any) -> RunConfig:
    usual = {"base": str(base), "data": str(data), "name": "style", "device": "cpu", "batch_size": 2, "steps": 4}
    return parse_config({**usual, "sample_prompts": ["a red boat"], "parts": {"unet": {}}, **values})


def work(library: Library, job: str, **arguments: Any) -> Mapping[str, Any]:
    """Run a job here and return its result."""
    bench = Workbench(library, lambda event: None, lambda: None)
    return [event for event in engine_jobs()[job].run(bench, arguments) if event["event"] == "result"][-1]


def test_the_same_is_said_in_the_terminal_in_preflight_and_in_the_data_tab(
    tiny_base: Path, library: Library, root: Path
) -> None:
    expected = read_folder(root).notes
    for part in (
        "more/",
        "1_sky/b.bmp",
        "1_sky/gone.txt",
        "1_sky/notes.md",
        "1_sky/._0.png",
        "Windows-1252",
        "'ink boat'",
    ):
        assert part in "\n".join(expected)
    found = preflight_images(config(tiny_base, root), library)
    assert not found.problems
    assert found.notes[:-1] == list(expected)
    assert found.facts["repeats"] == "1_sky 2 pictures × 1, 3_ink boat 2 pictures × 3"
    assert found.facts["passes"] == "1 per picture of 1_sky, 3 per picture of 3_ink boat"
    run = create_run(library, config(tiny_base, root, steps=1))
    execute(run, Quiet())
    log = (run.folder / "log.txt").read_text()
    assert "4 pictures, captions: 3 from .txt, 1 from folder name." in log
    assert all(f"Note: {note}" in log for note in found.notes)
    assert "1 of 4 captions too long for the text encoder" in found.notes[-1]
    assert "The most is lost of 1_sky/1.png: " in found.notes[-1]
    work(library, "survey_images", folder=str(root))
    view = view_of(library, str(root))
    assert view.notes[0] == "Repeats in a pass over the data: 1_sky/ × 1, 3_ink boat/ × 3."
    assert view.notes[1:-1] == expected
    assert "1 caption of more than 75 words and marks, the longest of 1_sky/1.png with 122." in view.notes[-1]
    assert view.names == ["1_sky/0.png", "1_sky/1.png", "3_ink boat/0.png", "3_ink boat/1.png"]
    assert view.captions["3_ink boat/0.png"].text == "a boat’s sail"
    assert Path(str(view.thumbnail("3_ink boat/0.png"))).is_file()
    assert notes_html("Worth knowing:", ["<b>"]) == "<p>Worth knowing:</p><ul><li>&lt;b&gt;</li></ul>"
    assert notes_html("Worth knowing:", []) == ""


def test_a_run_with_repeats_resumes_bit_equal_and_not_with_others(
    tiny_base: Path, library: Library, root: Path
) -> None:
    whole, half = (create_run(library, config(tiny_base, root, name=name, checkpoint_every=1)) for name in ("a", "b"))
    execute(whole, Quiet())
    asked = iter([False, True])
    assert execute(half, Quiet(), lambda: next(asked, True)) is None
    (root / "3_ink boat").rename(root / "2_ink boat")
    with pytest.raises(UserError, match="its pictures changed"):
        execute(half, Quiet())
    (root / "2_ink boat").rename(root / "3_ink boat")
    execute(half, Quiet())
    first, second = (read_adapter(library.adapters_folder / name).parts["unet"].tensors for name in ("a", "b"))
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert read_adapter(library.adapters_folder / "a").card.data == {
        "pictures": 4,
        "captions": {".txt": 3, "folder name": 1},
    }


def test_a_plain_folder_has_the_digest_that_runs_of_before_wrote(
    tiny_base: Path, library: Library, pictures: Path
) -> None:
    run = create_run(library, config(tiny_base, pictures, steps=1))
    execute(run, Quiet())
    digest = hashlib.sha256()
    for path in sorted(pictures.glob("*.png")):
        caption = path.with_suffix(".txt").read_text().strip()
        digest.update(path.name.encode() + b"\0" + caption.encode() + b"\0" + path.read_bytes())
    assert Run(run.folder, library).state()["inputs"]["pictures"] == digest.hexdigest()


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_captions_past_the_encoders_end_are_counted_and_the_worst_is_shown(
    tiny_bases: dict[str, Path], family: str
) -> None:
    base = load_image_base(str(tiny_bases[family]), device="cpu")
    texts = {"a.png": "a boat", "b.png": "x" * 80, "c.png": "y" * 70 + "far beyond it"}
    pictures = [Picture(Path(name), text, ".txt", name) for name, text in texts.items()]
    (said,) = long_caption_notes(base, pictures)
    assert said.startswith("2 of 3 captions too long for the text encoder")
    assert "The most is lost of c.png: 7 characters, 'yond it'." in said  # a token per letter; 75 are read
    assert long_caption_notes(base, pictures[:1]) == []


def test_words_are_counted_no_higher_than_the_pocket_bases_tokens() -> None:
    texts = ["it's they'll don't", "a_b--c !!! 10.5x3", "(a:1.2), <b> 'sea'", "Häuschen 船 🏠", "a red boat, sea"]
    tokenizer = load_image_base("pocket", device="cpu").tokenizer  # type: ignore[attr-defined]
    for text in texts:
        tokens = len(tokenizer(text, add_special_tokens=False).input_ids)
        times = 1 + 75 // tokens  # so often that the text has more than 75 tokens
        assert not surely_long_notes({"a": " ".join([text] * (times - 1))}), text
    assert surely_long_notes({"a": "word " * 76, "b": "word " * 75}) != []


def test_a_dataset_keeps_its_folders_with_repeats_and_takes_nothing_beside_them(library: Library, root: Path) -> None:
    (root / "1_sky" / "0.txt").rename(root / "1_sky" / "0.TXT")
    copy = copy_dataset(library, root, "mine")
    assert captions_of(copy) == captions_of(root)
    assert sorted(path.name for path in copy.iterdir()) == ["1_sky", "3_ink boat"]
    picture = draw_pictures(root.parent / "new", 1) / "0.png"
    with pytest.raises(UserError, match="has folders with repeats"):
        work(library, "add_images", dataset="mine", files=[str(picture)])


def test_what_comes_with_added_pictures_is_read_or_named(library: Library, root: Path, tmp_path: Path) -> None:
    (library.folder / "datasets" / "flat").mkdir(parents=True)
    given = draw_pictures(tmp_path / "given", 3)
    (given / "0.txt").rename(given / "0.TXT")
    (given / "1.txt").write_bytes("船".encode("gbk"))
    shutil.copy(given / "2.png", given / "._2.png")
    found = work(library, "add_images", dataset="flat", files=[str(path) for path in sorted(given.iterdir())])
    texts = [caption.text for caption in captions_of(library.folder / "datasets" / "flat").values()]
    assert texts == ["a red circle, paper", "", "a blue line, paper"]
    assert "The encoding of 1.txt cannot be told" in found["notes"][0]
    assert "._2.png: a hidden file" in found["refused"][0]
    found = work(library, "add_images", dataset="flat", files=[str(root)])
    assert "The repeats of 1_sky/, 3_ink boat/ are not kept" in "\n".join(found["notes"])
    assert "more/ holds 1 picture that is not read." in found["notes"]


def test_a_folder_of_texts_names_the_files_that_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("data.jsonl", "._data.jsonl"):  # what a Mac leaves beside a file is no second one
        (folder / name).write_text('{"text": "one"}\n')
    settings = {"name": "t", "stage": "sft", "data": str(folder), "device": "cpu"}
    assert read_training_texts(parse_config(settings, TextConfig)).training.path.name == "data.jsonl"
    (folder / "data.jsonl").rename(folder / "train.jsonl")
    (folder / "held_out.jsonl").write_text('{"text": "two"}\n')
    (folder / "more.csv").write_text("text\nthree\n")
    texts = read_training_texts(parse_config(settings, TextConfig))
    assert texts.notes() == ["2 other files of texts are not read: ._data.jsonl, more.csv."]
    alone = read_training_texts(parse_config({**settings, "data": str(folder / "train.jsonl")}, TextConfig))
    assert alone.notes() == []


def test_a_captioning_takes_the_name_of_a_folder_for_no_caption(library: Library, root: Path, tmp_path: Path) -> None:
    kind = run_kinds()["captions"]
    values = {"kind": "captions", "name": "says", "data": str(root), "device": "cpu"}
    settings = kind.parse({**values, "model": str(write_tiny_captioner(tmp_path / "model")), "beginning": "a red"})
    found = kind.preflight(settings, library)
    assert found.facts["to be captioned"] == "1"
    assert "more/ holds 1 picture that is not read." in found.notes
    run = create_run(library, settings)
    execute(run, Quiet())
    assert (root / "3_ink boat" / "1.txt").read_text().startswith("a red")
    assert captions_of(root)["3_ink boat/0.png"].text == "a boat’s sail"
    assert "Note: more/ holds 1 picture that is not read." in (run.folder / "log.txt").read_text()
