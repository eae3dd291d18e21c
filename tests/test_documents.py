"""The README and the pins say what is true."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from studio.cli.main import _parser

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


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as renderers of Markdown name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_anchor_of_the_documents_exists() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                other = page.parent / target if target else page
                assert anchor in _anchors(other), f"{page.relative_to(ROOT)} points to {target}#{anchor}"


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= 12_000


def test_the_site_builds_with_every_page_and_no_warning(tmp_path: Path) -> None:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        place = page.relative_to(ROOT / "docs").with_suffix("")
        folder = place.parent if place.name == "index" else place
        assert (tmp_path / "site" / folder / "index.html").is_file(), f"{place} is not in the site"
    assert "does not exist" not in built.stderr


def test_every_command_of_the_documents_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                if line.startswith("studio "):
                    try:
                        _parser().parse_args(shlex.split(line, comments=True)[1:])
                    except SystemExit:
                        pytest.fail(f"{page.relative_to(ROOT)}: {line}: {capsys.readouterr().err}")


def _rows(page: Path) -> list[list[str]]:
    """Return the cells of every row of a page's tables, without heads."""
    lines = [line[2:-2] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [line.split(" | ") for line in lines if not line.startswith(("source | ", "page | "))]


def test_every_page_of_cases_has_one_form_and_its_counts_in_the_index() -> None:
    found = []
    for page in sorted((ROOT / "docs" / "cases").glob("*.md")):
        if page.name == "index.md":
            continue
        heads = {line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| source ")}
        assert heads == {"| source | case | what happened | right | kind | test |"}, page.name
        rows = _rows(page)
        assert all(len(row) == 6 and all(row) for row in rows), page.name
        failed = sum(not row[2].startswith(("right already", "–")) for row in rows)
        found.append((f"[{page.stem}]({page.name})", len(rows), failed))
    found.append(("all", sum(count for _, count, _ in found), sum(failed for _, _, failed in found)))
    index = _rows(ROOT / "docs" / "cases" / "index.md")
    assert [(row[0], int(row[2]), int(row[3])) for row in index] == found


def test_every_test_that_the_documents_name_exists() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for path, names in re.findall(r"`(tests/[\w/]+\.py)((?:::\w+)*)", page.read_text(encoding="utf-8")):
            assert (ROOT / path).is_file(), f"{page.name}: {path}"
            text = (ROOT / path).read_text(encoding="utf-8")
            for name in filter(None, names.split("::")):
                assert re.search(rf"(def|class) {name}\b", text), f"{page.name}: {path}::{name}"


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
