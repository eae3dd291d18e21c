"""Train and Runs in a real browser: a run from the form outlives reload, second page and app, and tells the truth."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from playwright.sync_api import Locator, Page, expect

from studio.runs.queue import RunQueue, kill_run
from studio.runs.run import Run, create_run
from studio.runs.watch import find_row, run_rows
from tests.app_checking.browsing import settle
from tests.studio.app.conftest import RunningApp, free_port
from trainers.config import parse_config

SMALL = {"resolution_px": 64, "batch_size": 1, "judge": "none", "sample_prompts": ["a red boat"]}
UNET_ONLY = {"unet": {"method": "lora", "settings": {"rank": 2, "targets": ["attention"]}}}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One app for the whole file, in which a run without data is queued from the start."""
    app = RunningApp(tmp_path_factory.mktemp("studio") / "library", free_port())
    data = tmp_path_factory.mktemp("no-pictures")
    settings = {**SMALL, "data": str(data), "name": "without-data", "steps": 1, "parts": UNET_ONLY}
    create_run(app.library, parse_config(settings))
    RunQueue(app.library).add("without-data")
    yield app.start()
    for row in run_rows(app.library, RunQueue(app.library)):
        if row.works:
            kill_run(app.library, row.name)
    app.close()


def field(page: Page, name: str, part: str = "run") -> Locator:
    return page.locator(f"#field-{part}-{name}").locator("input, textarea").first


def status(app: RunningApp, name: str) -> str:
    row = find_row(run_rows(app.library, RunQueue(app.library)), name)
    return row.status if row else ""


def wait_for(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.1)


def open_run(page: Page, app: RunningApp, name: str) -> None:
    page.goto(f"{app.url}/?tab=runs")
    page.locator("#runs-table").get_by_text(name, exact=True).filter(visible=True).first.click()
    expect(page.locator("#runs-head")).to_contain_text(name)


def test_problems_are_told_all_at_once_and_values_survive_a_reload(studio: RunningApp, page: Page) -> None:
    page.goto(f"{studio.url}/?tab=train")
    expect(field(page, "learning_rate", "unet")).to_be_visible()  # the list of methods has been read
    field(page, "learning_rate", "unet").fill("fast")
    field(page, "steps").fill("0")
    field(page, "name").fill("../escape")
    page.locator("#train-check").click()
    report = page.locator("#train-report")
    for said in ("steps = 0", "fast", "../escape"):
        expect(report).to_contain_text(said)
    page.reload()
    expect(field(page, "name")).to_have_value("../escape")
    expect(field(page, "learning_rate", "unet")).to_have_value("fast")


def choose(page: Page, label: str, option: str) -> None:
    box = page.locator("#tab-train").get_by_role("combobox", name=label, exact=True)
    box.click()
    page.get_by_role("option", name=option).click()


def test_kind_preset_method_and_stage_are_chosen_and_nothing_ends_in_an_error(studio: RunningApp, page: Page) -> None:
    log = studio.folder / "app.txt"
    before = len(log.read_text())
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    page.goto(f"{studio.url}/?tab=train")
    choose(page, "Preset", "Subject (DoRA)")
    expect(field(page, "steps")).to_have_value("300")
    settle(page)
    choose(page, "UNet: method", "LoHa (loha)")
    expect(page.locator("#tab-train").get_by_role("button", name="Settings of LoHa")).to_be_visible()
    second = page.get_by_role("combobox", name="Second text encoder: method")
    expect(second).to_have_count(0)  # the base that ships has none
    field(page, "base").fill("owner/model")
    expect(second).to_have_count(1)
    field(page, "base").fill("pocket")
    expect(second).to_have_count(0)
    settle(page)
    choose(page, "What to learn from", "Voice or task from texts")
    expect(field(page, "max_length")).to_be_visible()
    settle(page)
    choose(page, "Stage", "Direct preference optimisation (dpo)")
    expect(field(page, "beta")).to_be_visible()
    settle(page)
    field(page, "name").fill("a-voice")
    page.get_by_role("button", name="The same run as YAML").click()
    yaml = page.locator("#tab-train .cm-content").filter(visible=True)
    expect(yaml).to_contain_text("name: a-voice")  # it is made from what the browser has kept
    page.reload()
    expect(field(page, "name")).to_have_value("a-voice")
    expect(field(page, "stage")).to_have_value("Direct preference optimisation (dpo)")
    settle(page)
    assert not failed
    assert "Traceback" not in log.read_text()[before:]


def test_a_failed_run_shows_its_sentence_and_can_be_resumed(studio: RunningApp, page: Page) -> None:
    wait_for(lambda: status(studio, "without-data") == "failed")
    open_run(page, studio, "without-data")
    expect(page.locator("#runs-head .studio-problem")).to_contain_text("no-pictures")
    expect(page.get_by_role("button", name="Start or resume")).to_be_enabled()
    page.get_by_role("button", name="Remove …").click()
    page.get_by_role("button", name="Yes, remove it").click()
    expect(page.locator("#runs-table").get_by_text("without-data", exact=True)).to_have_count(0)
    assert not (studio.library.runs_folder / "without-data").exists()


def test_programs_queue_runs_and_ask_for_them(studio: RunningApp, page: Page) -> None:
    client = Client(studio.url, verbose=False)
    data = str(Path(__file__).parents[3] / "examples" / "styles" / "neon")
    settings = {**SMALL, "kind": "images", "data": data, "name": "quick", "steps": 2, "parts": UNET_ONLY}
    assert client.predict(settings, api_name="/train") == "quick"
    with pytest.raises(Exception, match="stepz"):
        client.predict({**settings, "name": "other", "stepz": 1}, api_name="/train")
    with pytest.raises(Exception, match="cannot be used"):
        client.predict("../quick", api_name="/status")
    wait_for(lambda: client.predict("quick", api_name="/status")["status"] == "done")
    client.close()
    assert studio.library.names() == ["quick"]
    open_run(page, studio, "quick")
    expect(page.locator("#runs-head")).to_contain_text("done")
    expect(page.locator("#tab-runs").get_by_text("step 2: a red boat")).to_be_visible()
    expect(page.get_by_role("button", name="Stop now")).to_be_disabled()


def test_a_run_from_the_form_outlives_reload_second_page_and_app(
    studio: RunningApp, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{studio.url}/?tab=train", locale="en-US")
    expect(field(page, "learning_rate", "unet")).to_be_visible()
    field(page, "name").fill("long")
    field(page, "steps").fill("90000")
    field(page, "batch_size").fill("1")
    field(page, "resolution_px").fill("64")
    page.locator("#train-add").click()
    page.locator("#train-watch").click()
    head = page.locator("#runs-head")
    expect(head).to_contain_text("long · working")
    run = Run(studio.library.runs_folder / "long", studio.library)
    wait_for(lambda: (run.folder / "metrics.jsonl").exists())
    page.reload()
    second = open_page(f"{studio.url}/?tab=runs", locale="en-US")
    for each in (page, second):
        each.get_by_role("tab", name="Runs").click()
        expect(each.locator("#runs-head")).to_contain_text("long · working")

    for each in (page, second):
        settle(each)  # else a page may still be fetching its look when the app goes away
    studio.close()
    assert run.status() == "running"  # it does not need the app
    studio.start()
    page.goto(f"{studio.url}/?tab=runs")
    expect(head).to_contain_text("long · working")

    page.get_by_role("button", name="Stop after this step").click()
    expect(head).to_contain_text("stopped, can be resumed")
    stopped_at = run.state()["step"]
    assert stopped_at > 0
    page.get_by_role("button", name="Start or resume").click()
    wait_for(
        lambda: (
            run.status() == "running" and len((run.folder / "metrics.jsonl").read_text().split("\n")) > stopped_at + 1
        )
    )
    page.get_by_role("button", name="Stop now").click()
    expect(head).to_contain_text("stopped, can be resumed")
    page.get_by_role("button", name="Clone to Train").click()
    expect(field(page, "name")).to_have_value("long-2")
    expect(field(page, "steps")).to_have_value("90000")
