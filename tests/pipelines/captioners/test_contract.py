"""A captioner dropped into its folder is a choice of the command, of the form and of a run, with no file edited."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import pipelines.captioners
from pipelines.captioners import captioners, find_model, load_captioner
from studio.cli.main import main
from studio.library.library import Library
from studio.report import Quiet
from studio.runs.kinds import run_kinds
from studio.runs.run import create_run, execute
from studio.settings_schema import shapes_of
from tests.dropped import dropped
from tests.support import draw_pictures, write_tiny_captioner
from trainers.data.captions import captions_of
from trainers.errors import UserError

ZEBRA = """
from pipelines.captioners import Captioner

class Stripes:
    def describe(self, pictures, *, beginning="", max_new_tokens=40):
        return [f"{beginning} {picture.width} stripes".strip() for picture in pictures]

CAPTIONER = Captioner("zebra", "ZebraModel", "nobody", "a folder with a ZebraModel",
                      lambda config: "ZebraModel" in config.get("architectures", []),
                      lambda name, folder, device: Stripes())
"""


@pytest.fixture
def zebra(tmp_path: Path) -> Iterator[Path]:
    """A folder with a model that only the dropped captioner reads."""
    files, model = tmp_path / "files", tmp_path / "model"
    files.mkdir()
    model.mkdir()
    (model / "config.json").write_text('{"architectures": ["ZebraModel"]}')
    (model / "model.safetensors").write_bytes(b"")
    with dropped(pipelines.captioners, captioners, files, ZEBRA):
        yield model


def test_a_dropped_file_is_a_choice_everywhere(zebra: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shape,) = [shape for shape in shapes_of(run_kinds()["captions"].settings) if shape["name"] == "captioner"]
    assert shape["choices"] == ["auto", "blip", "zebra"]
    with pytest.raises(SystemExit):
        main(["caption", "--help"])
    assert "{auto,blip,zebra}" in capsys.readouterr().out
    assert find_model(str(zebra))[0].name == "zebra"
    with pytest.raises(UserError, match="is ZebraModel; a BlipForConditionalGeneration is expected"):
        find_model(str(zebra), "blip")
    with pytest.raises(UserError, match="Captioner 'zebr'"):
        find_model(str(zebra), "zebr")


@pytest.mark.parametrize("chosen", ["auto", "zebra"])
def test_a_run_captions_with_a_dropped_file(zebra: Path, tmp_path: Path, chosen: str) -> None:
    data = draw_pictures(tmp_path / "data", 2, captions=False)
    kind = run_kinds()["captions"]
    settings = {"kind": "captions", "name": "says", "data": str(data), "model": str(zebra), "captioner": chosen}
    config = kind.parse({**settings, "device": "cpu"})
    assert kind.preflight(config, Library(tmp_path / "library")).facts["captioner"] == "zebra"
    execute(create_run(Library(tmp_path / "library"), config), Quiet())
    assert all(caption.text.endswith("stripes") for caption in captions_of(data).values())


def test_blip_is_recognised_and_says_the_same_again(tmp_path: Path) -> None:
    model = str(write_tiny_captioner(tmp_path / "blip"))
    assert find_model(model)[0].name == "blip"
    captioner = load_captioner(model, device="cpu")
    pictures = [Image.new("RGB", (32, 32), (80 * number, 20, 60)) for number in range(2)]
    said = captioner.describe(pictures, beginning="a red", max_new_tokens=6)
    assert said == captioner.describe(pictures, beginning="a red", max_new_tokens=6)
    assert all(text.startswith("a red") and "\n" not in text for text in said)


@pytest.mark.parametrize("name", captioners())
def test_a_captioner_states_what_messages_need(name: str) -> None:
    captioner = captioners()[name]
    assert captioner.name == name
    assert all((captioner.title, captioner.source, captioner.example))
    assert not captioner.example.endswith(".")
    assert not captioner.recognise({})


def test_listing_captioners_loads_no_model_library() -> None:
    code = "import sys; from pipelines.captioners import captioners; captioners(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
