"""The jobs behind the Library tab: examine, import, export, change, rename, measure."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.families import LoadedBase
from pipelines.recipe import content_hash
from studio.app.library.importing import examined_lines
from studio.app.library.shelf import (
    CARD_WORDS,
    Found,
    answers_html,
    cards_html,
    entries_of,
    facts_of,
    lineage_html,
    searched,
)
from studio.library.library import Library, adapter_size_bytes
from studio.operations.blend import blend_into_library
from tests.studio.library.test_data_folders import work
from tests.support import draw_pictures
from trainers.adapter import parts_size_bytes, read_adapter
from trainers.errors import UserError
from trainers.text_config import TextConfig

_WORDS = {key: key for key in CARD_WORDS}


def test_the_size_of_an_adapter_is_the_one_that_is_forecast(library: Library) -> None:
    folder = library.adapters_folder / "one"
    (folder / "previews").mkdir(exist_ok=True)
    (folder / "previews" / "large.png").write_bytes(bytes(100_000))
    preflight = parts_size_bytes(read_adapter(folder).parts)
    (entry,) = [entry for entry in entries_of(library) if entry.name == "one"]
    assert entry.size_bytes == adapter_size_bytes(folder) == preflight > 0


def test_export_examine_and_import_agree(library: Library, tiny_base: Path, base: LoadedBase, tmp_path: Path) -> None:
    exported = work(library, "export_adapter", name="one", format="kohya")
    path = Path(exported["path"])
    assert path.is_relative_to(library.folder / "outputs" / "exports")
    assert path.name == "one.safetensors"
    assert exported["error"] < 1e-6
    found = work(library, "examine_file", path=str(path), base=str(tiny_base), device="cpu")
    assert found["suggested_name"] == "one"
    assert not found["problems"]
    assert not found["unmatched"]
    assert sum(found["matched"].values()) == exported["modules"]
    assert any(line.startswith("Format: kohya") for line in examined_lines(found))
    took = work(library, "import_adapter", path=str(path), name="back", base=str(tiny_base), device="cpu")
    assert took["names"] == ["back"]
    idle = {**load_file(path), "lora_unet_conv_out.alpha": torch.tensor(1.0)}
    save_file(idle, tmp_path / "idle.safetensors")
    found = work(library, "examine_file", path=str(tmp_path / "idle.safetensors"), base=str(tiny_base), device="cpu")
    said = "Note: 1 module with an alpha alone, which changes nothing: lora_unet_conv_out."
    assert said in examined_lines(found)
    again = Path(work(library, "export_adapter", name="back", format="kohya")["path"])
    assert again != path
    ours, theirs = load_file(path), load_file(again)
    assert ours.keys() == theirs.keys()
    folder = Path(work(library, "export_adapter", name="one", format="peft", base=str(tiny_base))["path"])
    assert folder.suffix == ".zip"
    with zipfile.ZipFile(folder) as archive:
        assert all(name.startswith("one/") and ".." not in name for name in archive.namelist())
    with pytest.raises(UserError, match="Did you mean 'kohya'"):
        work(library, "export_adapter", name="one", format="kohia")
    with pytest.raises(UserError):
        work(library, "export_adapter", name="one", format="textual_inversion")
    assert len(list((library.folder / "outputs/exports").glob("*/*"))) == 3  # a failed one leaves nothing

    down = next(tensor for key, tensor in ours.items() if key.endswith("lora_down.weight"))
    nowhere = {
        "lora_unet_nowhere.lora_down.weight": down.clone(),
        "lora_unet_nowhere.lora_up.weight": down.T.contiguous().clone(),
    }
    partly = {**ours, **nowhere}
    save_file(partly, tmp_path / "partly.safetensors", {"ss_base_model_version": "<script>sdxl</script>"})
    found = work(library, "examine_file", path=str(tmp_path / "partly.safetensors"), base=str(tiny_base), device="cpu")
    assert found["unmatched"] == ("lora_unet_nowhere",)
    assert "<script>sdxl</script>" in found["says"]
    arguments = {
        "path": str(tmp_path / "partly.safetensors"),
        "name": "partly",
        "base": str(tiny_base),
        "device": "cpu",
    }
    with pytest.raises(UserError, match="1 name does"):
        work(library, "import_adapter", **arguments)
    assert work(library, "import_adapter", **arguments, allow_unmatched=True)["names"] == ["partly"]
    save_file(nowhere, tmp_path / "none.safetensors")
    found = work(library, "examine_file", path=str(tmp_path / "none.safetensors"), base=str(tiny_base), device="cpu")
    assert found["problems"]


def test_an_export_for_a_program_says_what_it_will_read(library: Library, tiny_base: Path) -> None:
    at = {"name": "one", "base": str(tiny_base)}
    told = work(library, "export_adapter", **at, format="diffusers", only_tell=True)
    assert told["path"] == ""
    assert any(note.startswith("ComfyUI passes over") for note in told["notes"])
    assert not list((library.folder / "outputs").rglob("*.safetensors"))
    assert not work(library, "export_adapter", **at, reader="comfyui", only_tell=True)["notes"]
    written = work(library, "export_adapter", **at, reader="comfyui")
    assert any(key.startswith("diffusion_model.") for key in load_file(written["path"]))
    with pytest.raises(UserError, match=r"passes over .* add --allow-unread"):
        work(library, "export_adapter", **at, reader="comfyui", format="diffusers")
    partly = work(library, "export_adapter", **at, reader="comfyui", format="diffusers", allow_unread=True)
    assert any(note.startswith("ComfyUI passes over") for note in partly["notes"])
    with pytest.raises(UserError, match="does not read"):
        work(library, "export_adapter", **at, reader="a1111", format="diffusers")


def test_changes_and_names_leave_the_tensors(library: Library, tmp_path: Path) -> None:
    before = content_hash(library.read("one"))
    picture = draw_pictures(tmp_path / "p", 1) / "0.png"
    values = {"triggers": ["zqx", "style"], "about": {"license": "CC0-1.0", "author": ""}, "preview": str(picture)}
    assert work(library, "change_adapter", name="one", new_name="other", **values)["name"] == "other"
    assert library.names() == ["foreign", "other", "two"]
    adapter = read_adapter(library.find("other"))
    assert adapter.card.name == "other"
    assert adapter.card.triggers == ("zqx", "style")
    assert adapter.card.training["about"] == {"license": "CC0-1.0"}
    assert (library.find("other") / "previews" / "00-cover.png").is_file()
    assert work(library, "measure_adapter", name="other")["hash"] == before
    work(library, "change_adapter", name="other", about={"license": ""})
    assert "about" not in library.card("other").training
    for wrong in ("two", "../x", ".x"):
        with pytest.raises(UserError):
            work(library, "change_adapter", name="other", new_name=wrong)
    (tmp_path / "bad.png").write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(UserError, match="cannot be decoded"):
        work(library, "change_adapter", name="other", preview=str(tmp_path / "bad.png"))
    assert library.names() == ["foreign", "other", "two"]


def test_an_adapter_without_pictures_shows_what_it_answered_or_what_it_is(library: Library) -> None:
    blend_into_library(library, {"one": 0.5, "two": -0.25}, "mixed")
    answers = library.find("two") / "previews" / "step-00000009.jsonl"
    answers.parent.mkdir()
    rows = [{"prompt": "<i>", "answer": " "}, {"prompt": "Who?", "answer": "<b> " + "ahoy " * 90}]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows) + "torn")
    entries = {entry.name: entry for entry in entries_of(library)}
    assert "<b>" not in cards_html(Found([entries["two"]]), "", _WORDS)
    assert "“&lt;b&gt; ahoy" in cards_html(Found([entries["two"]]), "", _WORDS)
    assert len(cards_html(Found([entries["two"]]), "", _WORDS)) < 600
    assert "&lt;i&gt;" in answers_html(entries["two"])
    assert ">blend<" in cards_html(Found([entries["mixed"]]), "", _WORDS)
    assert ">no_preview<" in cards_html(Found([entries["one"]]), "", _WORDS)
    card = entries["one"].card
    assert card is not None
    speaks = card.model_copy(update={"parts": {"language_model": next(iter(card.parts.values()))}})
    assert ">language_model<" in cards_html(Found([replace(entries["one"], card=speaks)]), "", _WORDS)


def test_cards_and_lineage_escape_everything(library: Library) -> None:
    blend_into_library(library, {"one": 0.5, "two": -0.25}, "mixed")
    bad = '<img src=x onerror="alert(1)">'
    card = library.card("one").model_copy(update={"triggers": (bad,), "scores": {bad: 0.5}})
    (library.find("one") / "adapter.json").write_text(card.model_dump_json())
    (library.adapters_folder / bad).mkdir()
    (library.adapters_folder / bad / "adapter.json").write_text("{")
    entries = entries_of(library)
    assert len(entries) == 5
    html = cards_html(searched(entries, "", "name"), "", _WORDS)
    assert "<img src=x" not in html
    assert html.count("<li>") == 5
    assert [entry.name for entry in searched(entries, "TWO", "name").entries] == ["mixed", "two"]
    assert searched(entries, "", "score").entries[0].name == "one"
    assert {entry.name for entry in searched(entries, "sdxl foreign", "size").entries} == {"foreign"}
    mixed = next(entry for entry in entries if entry.name == "mixed")
    assert "-0.25 · two" in lineage_html(mixed)
    assert ["Recipe", "exact: 0.5·one + -0.25·two"] in facts_of(mixed)
    for sort in ("newest", "name", "size", "base", "score"):
        assert len(searched(entries, "", sort).entries) == 5


def test_a_card_tells_the_settings_that_are_not_the_usual_ones(library: Library) -> None:
    card = library.card("one")
    usual = TextConfig(data="x", name="x").model_dump(mode="json", exclude={"parts", *TextConfig.not_in_the_card})
    training = {**usual, "batch_size": 2, "skipped_steps": 0, "learning_rates": {"language_model": 0.005}}
    folds = {"folds_validation_loss_mean": 2.7, "folds_validation_loss_deviation": 0.1}
    card = card.model_copy(update={"training": training, "scores": {"validation_loss": 2.7734, **folds, "own": 1.0}})
    entry = next(replace(entry, card=card) for entry in entries_of(library) if entry.name == "one")
    told, chinese = dict(map(tuple, facts_of(entry))), dict(map(tuple, facts_of(entry, "zh-TW")))
    assert told["Training"] == (
        "Kind Voice or task from texts, Steps 250, Batch size 2, Stage sft, Learning rate 0.005 Language model"
    )
    assert told["Scores"] == "Validation loss 2.773, Validation loss over folds 2.700 ± 0.100, own 1.000"
    assert chinese["訓練"].startswith("種類 從文字學習語氣或任務, 步數 250, 批次大小 2, 階段 監督式微調")
    assert chinese["分數"].startswith("驗證損失 2.773")
    assert "驗證損失 2.773" in cards_html(Found([entry]), "", _WORDS, "zh-TW")
    other = replace(
        entry, card=card.model_copy(update={"training": {**training, "kind": "unknown", "stage_settings": ["x"]}})
    )
    assert "Kind unknown" in dict(map(tuple, facts_of(other)))["Training"]
    assert "LR scheduler cosine" in dict(map(tuple, facts_of(other)))["Training"]  # what is usual there is not known
