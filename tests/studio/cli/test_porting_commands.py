"""The commands that move adapters between programs and sizes, from the command line to the files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipelines.bases import load_base
from pipelines.exporting import take_out
from pipelines.families import LoadedBase
from pipelines.formats import formats
from pipelines.resizing import Wish, extract, resize
from studio.cli.main import main
from studio.operations.import_export import WRITABLE
from tests.pipelines.formats import files
from tests.pipelines.formats.support import EXACT, largest_difference, live_deltas
from tests.support import bits, content_of, random_adapter, relative_error
from trainers.adapter import read_adapter, write_adapter
from trainers.errors import UserError

CAPTURE = pytest.CaptureFixture[str]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "library"
    monkeypatch.setenv("STUDIO_LIBRARY", str(folder))
    return folder


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def test_import_export_convert_verify(
    base: LoadedBase, tiny_base: Path, tmp_path: Path, library: Path, capsys: CAPTURE
) -> None:
    content = files.make(files.KINDS["lora"], base)
    path = files.write_kohya(tmp_path / "my style!.safetensors", content, {"modelspec.trigger_phrase": "zqx"})
    at = ["--base", str(tiny_base)]
    assert main(["import", str(path), *at]) == 0
    said = capsys.readouterr().out
    assert "Read as kohya single file" in said
    assert "2 in text_encoder" in said
    assert "3 in unet" in said
    assert "0 did not" in said
    adapter = read_adapter(library / "adapters/my style=21")
    assert adapter.card.triggers == ("zqx",)
    assert str(tmp_path) not in (library / "adapters/my style=21/adapter.json").read_text()
    assert largest_difference(live_deltas(base, adapter), content) < EXACT
    assert main(["import", str(path), *at]) == 2  # the name is taken
    assert "has an adapter 'my style!' already" in capsys.readouterr().err

    out = tmp_path / "out.safetensors"
    assert main(["export", "my style!", "--format", "kohya", "--out", str(out)]) == 0  # no base is needed
    assert "5 modules read back and compared" in capsys.readouterr().out
    assert main(["export", "my style!", "--format", "kohya", "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["export", "my style!", "--format", "comfyui", "--out", str(tmp_path / "c.safetensors")]) == 2
    assert "--base" in capsys.readouterr().err
    assert main(["export", "my style!", "--format", "kohia", "--out", str(tmp_path / "c.safetensors")]) == 2
    assert "Did you mean 'kohya'" in capsys.readouterr().err
    assert main(["convert", str(out), str(tmp_path / "c.safetensors"), "--format", "comfyui", *at]) == 0
    assert any(key.startswith("diffusion_model.") for key in load_file(tmp_path / "c.safetensors"))
    capsys.readouterr()

    assert main(["verify", str(out), *at]) == 0
    assert "Sound." in capsys.readouterr().out
    broken = bytearray(out.read_bytes())
    broken[-1] ^= 1  # safetensors has no checksum; the hash in the metadata tells
    (tmp_path / "broken.safetensors").write_bytes(broken)
    assert main(["verify", str(tmp_path / "broken.safetensors"), *at]) == 2
    assert "sshs_model_hash" in capsys.readouterr().err

    merged = tmp_path / "merged"
    own_base = tmp_path / "own base"
    shutil.copytree(tiny_base, own_base, ignore=shutil.ignore_patterns("made"))
    told_of_the_base = {"metrics.json", "training.json", "vae/decoder_training.json", "vae/README.md"}
    for name in ("README.md", *told_of_the_base):
        (own_base / name).write_text("{}")
    arguments = ["export", "my style!", "--format", "checkpoint_folder", "--out", str(merged), "--base", str(own_base)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "Merged 5 modules; rounding took up to 0.00% of a delta." in said
    assert "--save-as" not in said
    halved = [*arguments[:5], str(tmp_path / "halved"), *arguments[6:], "--save-as", "bf16"]
    assert main(halved) == 0
    assert "--save-as fp32 keeps the deltas whole" in capsys.readouterr().out
    assert load_base(str(merged), device="cpu").fingerprint != base.fingerprint
    copied = {str(file.relative_to(merged)) for file in merged.rglob("*") if file.is_file()}
    there = {str(file.relative_to(own_base)) for file in own_base.rglob("*") if file.is_file()}
    assert copied == there - told_of_the_base
    said = (merged / "README.md").read_text()
    assert "- my style!, weight 1" in said
    assert base.name in said


def test_a_file_for_a_program_says_first_what_it_will_not_read(
    base: LoadedBase, tiny_base: Path, tmp_path: Path, library: Path, capsys: CAPTURE
) -> None:
    write_adapter(library / "adapters/d", random_adapter(base, "d", method="dora", size=0.3, parts=("unet",)))
    at = ["--base", str(tiny_base)]

    def out(name: str) -> list[str]:
        return ["--out", str(tmp_path / f"{name}.safetensors")]

    assert main(["export", "d", "--format", "kohya", *out("plain"), *at]) == 0
    said = capsys.readouterr().out
    assert said.index("Note: ComfyUI gives") < said.index("plain.safetensors")
    assert "Note: Forge gives" in said
    assert main(["export", "d", "--for", "comfyui", *out("comfyui"), *at]) == 0
    said = capsys.readouterr().out
    assert "Held against the rule of ComfyUI on this base" in said
    assert "gives" not in said
    assert main(["export", "d", *out("none"), *at]) == 2
    assert "Give --for PROGRAM, --format FORMAT, or both." in capsys.readouterr().err
    assert main(["export", "d", "--for", "comfyui", "--format", "diffusers", "--rank", "2", *out("none"), *at]) == 2
    assert "passes over" in capsys.readouterr().err
    allowed = ["--format", "diffusers", "--rank", "2", "--allow-unread", *out("partly")]
    assert main(["export", "d", "--for", "comfyui", *allowed, *at]) == 0
    assert "Note: ComfyUI passes over" in capsys.readouterr().out
    made = str(tmp_path / "comfyui.safetensors")
    assert main(["convert", made, str(tmp_path / "a.safetensors"), "--for", "a1111", *at]) == 0
    assert "DoRA became full deltas" in capsys.readouterr().out
    assert main(["import", made, "--name", "again", *at]) == 0
    assert "taken over the norm of the base's weight" in capsys.readouterr().out
    assert main(["import", made, "--name", "other", "--dora-norm", "adapted", *at]) == 0
    capsys.readouterr()
    expected = live_deltas(base, read_adapter(library / "adapters/d"))
    for name, most, least in (("again", 5e-6, 0.0), ("other", 100.0, 0.01)):
        found = live_deltas(base, read_adapter(library / "adapters" / name))
        worst = max(relative_error(found[place][0], expected[place][0]) for place in expected)
        assert least <= worst < most
    assert not list(tmp_path.glob("none*"))


def test_a_whole_model_is_no_adapter(
    base: LoadedBase, tiny_base: Path, tmp_path: Path, library: Path, capsys: CAPTURE
) -> None:
    write_adapter(library / "adapters/one", random_adapter(base, "one", method="lora", rank=2))
    file, at = tmp_path / "m.safetensors", ["--base", str(tiny_base)]
    assert main(["export", "one", "--format", "checkpoint_file", "--out", str(file), *at]) == 0
    for arguments in (["import", str(file)], ["verify", str(file)], ["verify", str(tiny_base)]):
        assert main([*arguments, *at]) == 2
        said = capsys.readouterr().err
        assert "is a whole model, not an adapter" in said
        assert "studio extract" in said
    assert main(["extract", str(file), "--name", "x", *at]) == 2
    assert "is a single file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rank", "target", "said"),
    [
        ("4", "kohya", "'one' is LoRA already, which --rank 4 leaves as it is; use studio resize"),
        ("0", "kohya", "The rank 0 is out of range; 1 to 16384"),
        ("4", "checkpoint_folder", "--rank 4 would do nothing"),
    ],
)
def test_a_rank_that_would_do_nothing_is_refused(
    base: LoadedBase, tiny_base: Path, tmp_path: Path, library: Path, capsys: CAPTURE, rank: str, target: str, said: str
) -> None:
    write_adapter(library / "adapters/one", random_adapter(base, "one", method="lora", rank=2))
    out = ["--out", str(tmp_path / "o.safetensors"), "--base", str(tiny_base)]
    assert main(["export", "one", "--format", target, "--rank", rank, *out]) == 2
    assert said in capsys.readouterr().err


def test_the_help_names_every_format_that_can_be_written() -> None:
    assert sorted(WRITABLE) == [name for name, format_ in sorted(formats().items()) if format_.write or format_.merge]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", ""], "path is empty"),
        (["verify", ""], "target is empty"),
        (["edit", "", "--set", "license=x"], "target is empty"),
        (["convert", "", "", "--format", "kohya"], "out, path is empty"),
        (["extract", "", "--name", ""], "name, tuned is empty"),
    ],
)
def test_an_empty_path_is_said_to_be_empty(library: Path, arguments: list[str], said: str, capsys: CAPTURE) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_convert_goes_without_what_the_base_has_no_place_for_where_that_is_allowed(
    base: LoadedBase, tiny_base: Path, tmp_path: Path, capsys: CAPTURE
) -> None:
    path = files.write_kohya(tmp_path / "a.safetensors", files.make(files.KINDS["lora"], base))
    tensors = load_file(path)
    down = next(key for key in tensors if key.endswith("lora_down.weight"))
    strange = "lora_unet_no_such_module"
    for leaf in ("lora_down.weight", "lora_up.weight"):
        tensors[f"{strange}.{leaf}"] = tensors[down.replace("lora_down.weight", leaf)].clone()
    save_file(tensors, path)
    out = tmp_path / "b.safetensors"
    arguments = ["convert", str(path), str(out), "--format", "comfyui", "--base", str(tiny_base)]
    assert main(arguments) == 2
    assert "add --allow-unmatched" in capsys.readouterr().err
    assert main([*arguments, "--allow-unmatched"]) == 0
    assert f"without a place: {strange}" in capsys.readouterr().out
    assert not any("no_such" in key for key in load_file(out))


def test_hash_and_edit_a_file(base: LoadedBase, tmp_path: Path, library: Path, capsys: CAPTURE) -> None:
    path = tmp_path / "a.safetensors"
    take_out(random_adapter(base, method="lora", rank=2), "kohya", path)
    before, claimed = bits(load_file(path)), metadata_of(path)["sshs_model_hash"]
    assert main(["hash", str(path)]) == 0
    first = capsys.readouterr().out
    assert f"content {claimed}" in first
    picture = tmp_path / "p.png"
    Image.new("RGB", (600, 300), "red").save(picture)
    change = ["--trigger", "zqx", "--set", "license=CC0-1.0", "--set", "ss_training_comment=naïve", "--remove", "ss_v2"]
    assert main(["edit", str(path), *change, "--preview", str(picture)]) == 0
    capsys.readouterr()
    now = metadata_of(path)
    assert now["modelspec.license"] == "CC0-1.0"
    assert now["modelspec.trigger_phrase"] == "zqx"
    assert now["ss_training_comment"] == "naïve"
    assert now["modelspec.thumbnail"].startswith("data:image/jpeg;base64,")
    assert "ss_v2" not in now
    assert bits(load_file(path)) == before
    assert main(["hash", str(path)]) == 0
    second = capsys.readouterr().out
    assert f"content {claimed}" in second
    assert first.splitlines()[2] != second.splitlines()[2]  # the whole file's hash is another
    for key in ("modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash"):
        assert main(["edit", str(path), "--set", f"{key}=abc"]) == 2
        assert f"{key} is computed from the tensors" in capsys.readouterr().err
    assert metadata_of(path) == now
    for wrong in (["--remove", "no_such"], ["--set", "novalue"], []):
        assert main(["edit", str(path), *wrong]) == 2
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.safetensors", "p.png"]


def test_edit_an_adapter(base: LoadedBase, tmp_path: Path, library: Path, capsys: CAPTURE) -> None:
    write_adapter(library / "adapters/one", random_adapter(base, "one", method="lora", rank=2))
    before = read_adapter(library / "adapters/one")
    picture = tmp_path / "p.jpg"
    Image.new("RGB", (600, 300), "red").save(picture, exif=b"Exif\0\0secret")
    change = ["--trigger", "zqx", "--trigger", "paper", "--set", "license=MIT", "--preview", str(picture)]
    assert main(["edit", "one", *change]) == 0
    after = read_adapter(library / "adapters/one")
    assert after.card.triggers == ("zqx", "paper")
    assert after.card.training["about"] == {"license": "MIT"}
    assert bits(after.parts["unet"].tensors) == bits(before.parts["unet"].tensors)
    cover = library / "adapters/one/previews/00-cover.png"
    assert b"secret" not in cover.read_bytes()
    take_out(after, "kohya", tmp_path / "out.safetensors")
    assert metadata_of(tmp_path / "out.safetensors")["modelspec.license"] == "MIT"
    assert main(["edit", "one", "--set", "licence=MIT"]) == 2
    assert "Did you mean 'license'" in capsys.readouterr().err
    assert main(["edit", "one", "--remove", "license"]) == 0
    assert "about" not in read_adapter(library / "adapters/one").card.training


def test_resize_keeps_what_was_asked_for(base: LoadedBase) -> None:
    adapter = random_adapter(base, method="lora", rank=6, alpha=3.0, parts=("text_encoder",))
    deltas = live_deltas(base, adapter)
    for wish in (Wish(rank=2), Wish(energy=0.8), Wish(error=0.3), Wish(energy=1.0)):
        made, told = resize(adapter, wish, "small", None)
        found = live_deltas(base, made)
        assert len(told) == len(deltas)
        for row in told:
            exact = deltas[(row.part, row.layer)][0]
            values = torch.linalg.svdvals(exact.flatten(1))
            tail = float(values[row.after :].norm() / values.norm())
            change = float((found[(row.part, row.layer)][0] - exact).norm() / exact.norm())
            assert change == pytest.approx(tail, abs=1e-5)
            assert row.error == pytest.approx(tail, abs=1e-5)
            if wish.rank:
                assert row.after == 2
            elif wish.error:
                assert tail <= 0.3 < float(values[row.after - 1 :].norm() / values.norm())
            else:
                energy = values.square() / values.square().sum()
                assert float(energy[: row.after].sum()) >= float(wish.energy or 0) - 1e-5
                assert row.after <= 6
                assert float(energy[: row.after - 1].sum()) < float(wish.energy or 0)


def test_resize_takes_other_methods_by_way_of_their_base(base: LoadedBase) -> None:
    adapter = random_adapter(base, method="loha", rank=2, parts=("text_encoder",))
    with pytest.raises(UserError, match="give --base"):
        resize(adapter, Wish(rank=4), "small", None)
    made, told = resize(adapter, Wish(energy=1.0), "small", base)
    assert max(row.after for row in told) <= 4  # the rank of a Hadamard product of ranks 2 and 2
    exact, found = live_deltas(base, adapter), live_deltas(base, made)
    for place, (delta, _) in exact.items():
        assert float((found[place][0] - delta).norm() / delta.norm()) < 1e-5
    with pytest.raises(UserError, match="norm or a bias"):
        resize(random_adapter(base, method="norm_tuning", parts=("text_encoder",)), Wish(rank=4), "small", base)


@pytest.mark.parametrize("wrong", [{}, {"rank": 2, "energy": 0.5}, {"rank": 0}, {"energy": 1.5}, {"error": 1.0}])
def test_a_wish_must_make_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"Give one|out of range"):
        Wish(**wrong)


def test_extract_what_a_model_learned(
    base: LoadedBase, tiny_base: Path, tmp_path: Path, library: Path, capsys: CAPTURE
) -> None:
    adapter = random_adapter(base, method="lora", rank=2, parts=("text_encoder",))
    write_adapter(library / "adapters/was", adapter)
    take_out(adapter, "checkpoint_folder", tmp_path / "tuned", base=base, base_folder=tiny_base)
    at = ["--base", str(tiny_base)]
    assert main(["extract", str(tmp_path / "tuned"), "--name", "again", "--rank", "2", *at]) == 0
    assert "layers; the most is lost" in capsys.readouterr().out
    exact, found = live_deltas(base, adapter), live_deltas(base, read_adapter(library / "adapters/again"))
    assert exact.keys() == found.keys()
    for place, (delta, _) in exact.items():
        assert float((found[place][0] - delta).norm() / delta.norm()) < 1e-4
    assert main(["extract", str(tiny_base), "--name", "none", "--rank", "2", *at]) == 2
    assert "are equal" in capsys.readouterr().err
    assert main(["resize", "again", "--name", "smaller", "--rank", "1"]) == 0
    assert {part.config["r"] for part in read_adapter(library / "adapters/smaller").parts.values()} == {1}
    assert content_of(library / "adapters").keys() == {
        name for name in content_of(library / "adapters") if name.partition("/")[0] in ("was", "again", "smaller")
    }


def test_extract_in_full_keeps_norms_and_biases(base: LoadedBase, tiny_base: Path, tmp_path: Path) -> None:
    content = {**files.make(files.KINDS["norms"], base), **files.make(files.KINDS["full"], base)}
    from pipelines.importing import bring_in

    adapter = bring_in(files.write_kohya(tmp_path / "f.safetensors", content), base, "f").adapters["f"]
    take_out(adapter, "checkpoint_folder", tmp_path / "tuned", base=base, base_folder=tiny_base)
    tuned = load_base(str(tmp_path / "tuned"), device="cpu")
    made, _, left = extract(tuned, base, "whole", None)
    assert not left
    assert largest_difference(live_deltas(base, made), content) < 1e-5
    _, told, left = extract(tuned, base, "part", Wish(energy=1.0))
    assert len(told) == len(files.LINEAR) + len(files.KERNELS) + len(files.TEXT)
    assert len(left) >= len(files.NORMS)


def test_cards_of_imported_adapters_are_plain(base: LoadedBase, tmp_path: Path) -> None:
    from pipelines.importing import bring_in

    content = files.make(files.KINDS["lora"], base)
    path = files.write_kohya(tmp_path / "f.safetensors", content, {"modelspec.license": "MIT", "ss_secret": "/a/b/c"})
    card = bring_in(path, base, "f").adapters["f"].card
    text = json.dumps(card.model_dump(mode="json"))
    assert card.training["about"] == {"license": "MIT"}
    assert (card.training["imported"]["matched"], card.training["imported"]["format"]) == (5, "kohya")
    assert "/a/b" not in text
