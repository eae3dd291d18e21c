"""The script that takes the README's pictures of the app."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

SCRIPT = Path(__file__).parents[3] / "tools" / "app_screenshots.py"


def test_a_tab_is_pictured_in_both_themes_and_narrow(tmp_path: Path) -> None:
    arguments = ["--library", str(tmp_path / "library"), "--out", str(tmp_path / "out"), "--tab", "settings"]
    subprocess.run([sys.executable, str(SCRIPT), *arguments], check=True, stdout=subprocess.DEVNULL)
    pictures = {path.stem: Image.open(path).convert("RGB") for path in (tmp_path / "out").glob("*.png")}
    assert pictures.keys() == {"settings-light", "settings-dark", "settings-narrow"}
    assert pictures["settings-narrow"].width == 390
    corners = {name: sum(picture.getpixel((2, 2))) for name, picture in pictures.items()}  # type: ignore[arg-type]
    assert corners["settings-dark"] < 200 < corners["settings-light"]
