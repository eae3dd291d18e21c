"""The Settings tab: what is stored, what takes space, what is deleted, and the inference process."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from studio.app.settings.disk_use import clear, disk_use, plan_clearing, size_text
from studio.app.settings.tab import log_tail
from studio.app.shared.app_settings import AppSettings, read_settings, write_settings
from studio.engine.client import Engine
from studio.library.library import Library
from tests.studio.app.conftest import RunningApp
from trainers.errors import UserError


def test_settings_are_shown_and_stored(app: RunningApp, open_page: Callable[..., Page]) -> None:
    old = app.folder / "outputs" / "pictures" / "old.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"x" * 2000)
    os.utime(old, (1, 1))
    page = open_page(f"{app.url}/?tab=settings", locale="en-US")
    expect(page.locator("#tab-settings").get_by_label("Folder")).to_have_value(str(app.folder.resolve()))
    expect(page.get_by_text("outputs: pictures and sheets").last).to_be_visible()
    page.locator("#tab-settings").get_by_label("Precision").click()
    page.get_by_role("option", name="bf16").click()
    expect(page.get_by_text("Stored in")).to_be_visible()
    assert read_settings(app.library) == AppSettings(precision="bf16")

    page.get_by_role("radio", name="Dark").check()
    expect(page.locator("body.dark")).to_have_count(1)
    page.reload()
    expect(page.locator("#tab-settings").get_by_label("Precision")).to_have_value("bf16")
    expect(page.locator("body.dark")).to_have_count(1)

    page.get_by_role("button", name="Clear up").click()
    page.get_by_label("What to clear").click()
    page.get_by_role("option", name="outputs: pictures and sheets").click()
    page.get_by_role("button", name="Show what would be deleted").click()
    expect(page.get_by_text("1 file (2.0 kB) would be deleted")).to_be_visible()
    assert old.exists()
    page.get_by_role("button", name="Delete these files").click()
    expect(page.get_by_text("1 file (2.0 kB) was deleted")).to_be_visible()
    assert not old.exists()


def test_settings_are_checked(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    assert read_settings(library) == AppSettings()
    assert not library.folder.exists()
    with pytest.raises(UserError, match=r"device = 'gpu'.*\n.*precision = 'int8'"):
        write_settings(library, {"device": "gpu", "precision": "int8"})
    assert not (library.folder / "settings.json").exists()
    write_settings(library, {"device": "cuda:1", "precision": "fp32"})
    assert read_settings(library).device == "cuda:1"
    (library.folder / "settings.json").write_text("[]")
    with pytest.raises(UserError, match=r"settings\.json"):
        read_settings(library)


def test_clearing_takes_what_was_shown_and_nothing_else(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    now = time.time()
    for name, age_s in {"outputs/a/1.png": 9e5, "outputs/a/2.png": 10, "cache/web/x": 9e5, "cache/web/y": 60}.items():
        path = library.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
        os.utime(path, (now - age_s, now - age_s))
    (library.folder / "cache" / "link").symlink_to(outside)
    assert [path.name for path in plan_clearing(library, "cache", 0, now=now).files] == ["x"]
    planned = plan_clearing(library, "outputs", 7, now=now)
    assert (len(planned.files), planned.size_bytes) == (1, 3)
    (library.folder / "outputs" / "a" / "3.png").write_bytes(b"new")
    assert clear(library, planned) == 1
    assert sorted(path.name for path in (library.folder / "outputs" / "a").iterdir()) == ["2.png", "3.png"]
    used = {item.kind: (item.files, item.size_bytes) for item in disk_use(library)}
    assert used["outputs"] == (2, 6)
    assert used["adapters"] == (0, 0)
    assert (outside / "kept.txt").exists()
    assert [size_text(size) for size in (0, 999, 1000, 2_500_000)] == ["0 bytes", "999 bytes", "1.0 kB", "2.5 MB"]


def test_the_log_is_told_from_the_beginning_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert log_tail(path) == ""
    path.write_text("first line\nsecond line\nthird\n")
    assert log_tail(path) == "first line\nsecond line\nthird\n"
    assert log_tail(path, 15) == "third\n"


def test_a_restart_ends_open_jobs_with_a_sentence_and_takes_new_ones(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        ticket = engine.submit("blends", {})
        engine.restart()
        assert "started again" in ticket.events.get(timeout=60)["problem"]
        assert engine.result("blends", {})["blends"]
    finally:
        engine.close()
