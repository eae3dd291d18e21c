"""The README and the pins say what is true."""

import importlib.util
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent


def _pins() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    pairs = [line.partition(";")[0].split("==", 1) for line in lines]
    return {name.lower().replace("_", "-"): Version(version.strip()) for name, version in pairs}


def test_every_link_and_picture_of_the_documents_exists() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert "://" in target or (page.parent / target).exists(), f"{page.relative_to(ROOT)} points to {target}"


def test_every_requirement_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = _pins()
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["dev"], *extras["app"]]:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            continue  # an extra that names another
        pinned = pins[requirement.name.lower().replace("_", "-")]
        assert pinned in requirement.specifier, f"{requirement} is pinned to {pinned}"


def test_nothing_pulls_torchvision_in() -> None:
    assert "torchvision" not in _pins()
    assert importlib.util.find_spec("torchvision") is None


def test_the_pocket_models_stay_small_enough_to_travel() -> None:
    files = [path for path in (ROOT / "pipelines" / "pocket").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 48_000_000
