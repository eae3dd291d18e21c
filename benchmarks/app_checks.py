"""Put the app under load, break its processes, attack it, and look at it with axe; write what was counted.

    python benchmarks/app_checks.py [--clients 20] [--cancels 50] [--only load …] [--output benchmarks/results/web.md]

Everything happens in a temporary folder and on the pocket base, with the system's Chromium. With ``--only`` the other
sections of the page stay as they are.
"""

import argparse
import contextlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what tests do to the app is not installed

from studio.app.tabs import tabs
from tests.app_checking import callers, files, load
from tests.app_checking.accessibility import AXE, THEMES, look_at_tabs
from tests.app_checking.browsing import chromium
from tests.app_checking.files import Tally
from tests.app_checking.foreign_page import another_site
from tests.app_checking.running_app import RunningApp
from tests.app_checking.scripts import LONG, plant_scripts, use_every_tab
from tests.app_checking.truth import situations

Lines = Iterator[str]
_OUTPUT = Path(__file__).resolve().parent / "results" / "web.md"
_PASSWORD = "open sesame"  # noqa: S105 - of a throwaway app


def main() -> None:
    """Do what was chosen and write its sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--output", type=Path, default=_OUTPUT)
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="a section; may be repeated")
    options = parser.parse_args()
    sections = _sections_of(options.output)
    for name in options.only or SECTIONS:
        title, make = SECTIONS[name]
        lines = []
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for line in make(Path(folder), options):
                print(line, flush=True)
                lines.append(line)
        sections[name] = f"## {title}\n\n" + "\n".join(lines) + f"\n\n{_measured()}\n"
    body = "\n".join(sections[name] for name in SECTIONS if name in sections)
    options.output.write_text(f"{_HEAD}\n{body}", encoding="utf-8")


def under_load(folder: Path, options: argparse.Namespace) -> Lines:
    """Many clients, taken back drawings, killed processes; and the memory of the page's process."""
    yield "| what | counted |\n|---|---|"
    with _app(folder / "library") as app:
        memory = [("just started", app.memory_mb())]
        serial = {seed: load.draw(app, seed) for seed in range(options.clients)}
        memory.append((f"after {options.clients} drawings one by one", app.memory_mb()))
        for what, count in load.drawing_rows(app, options.cancels, serial):
            yield f"| {what} | {count} |"
        memory.append((f"after {3 * options.clients} more at once and {options.cancels} taken back", app.memory_mb()))
        for what, count in load.run_rows_under_load(app, serial):
            yield f"| {what} | {count} |"
        for when, mebibytes in memory:
            yield f"| memory of the page's process, {when} | {mebibytes:.0f} MiB |"


def truthful(folder: Path, options: argparse.Namespace) -> Lines:
    """Seconds until the page says the truth."""
    yield "| what happens | seconds until the page says so |\n|---|---|"
    with _app(folder / "library") as app, chromium() as browser:
        for what, seconds in situations(app, browser.new_page):
            yield f"| {what} | {seconds:.1f} |"


def under_attack(folder: Path, options: argparse.Namespace) -> Lines:
    """Everything that an attacker would try."""
    yield "| attack | tried | went wrong |\n|---|---|---|"
    library, wrong = files.plant_secrets(folder), []

    def row(what: str, tally: Tally) -> str:
        wrong.extend(tally.wrong)
        return f"| {what} | {tally.tried:,} | {len(tally.wrong)} |"

    payloads, routes = len(files.path_payloads(folder)), len(files.ROUTES)
    with _app(library, "--largest-upload", "1mb") as app, chromium() as browser:
        yield row(f"paths that lead out: {payloads} × {routes} routes × GET and HEAD", files.traverse(app, folder))
        yield row("made-up files handed to every event", files.made_up_files(app, folder, every_event=True))
        yield row("foreign `Host` and `Origin`, doubled and forwarded names", callers.foreign_names(app))
        yield row("requests that other pages can make a browser send", callers.other_pages(app))
        yield row("the same from other sites in Chromium, and a rebound name", another_site(app, browser))
        yield row("routes of Gradio that are shut, MCP among them", callers.shut_routes(app))
        yield row("uploads with hostile names", files.hostile_names(app))
        yield row("uploads with hostile contents × events that take them", files.hostile_contents(app, folder, LONG))
        yield row("too large uploads and requests", files.oversize(app, 1 << 20))
        yield row("uploads that never end, and those beside them", files.slow_uploads(app, 100))
    with _app(library, password=_PASSWORD) as app:
        yield row("requests without the password", callers.without_password(app))
    with tempfile.TemporaryDirectory() as own:
        hostile = RunningApp(Path(own) / "library")
        places = plant_scripts(hostile)
        with _started(hostile), chromium() as browser:
            tally = use_every_tab(hostile, browser.new_page(), Path(own), buttons=True)
        tally.tried += places
        yield row("scripts in a library and typed into every field of every tab, every button pressed", tally)
    yield "\n" + ("\n".join(f"- {item}" for item in wrong) or "No leak, no script run, nothing foreign answered.")


def accessible(folder: Path, options: argparse.Namespace) -> Lines:
    """What axe finds."""
    yield f"| tab | {' | '.join(f'{theme}: rules held, serious problems' for theme in THEMES)} |"
    yield "|---|" + "---|" * len(THEMES)
    with _app(folder / "library") as app, chromium() as browser:
        load.draw(app, 1)
        load.train(app, "one", 2)
        app.wait_for_run("one", "done")
        found = list(look_at_tabs(app, browser.new_page))
    for name in tabs():
        cells = [f"{look.rules}, {len(look.problems)}" for look in found if look.tab == name]
        yield f"| {name} | {' | '.join(cells)} |"
    axe = (AXE.parent / "package.json").read_text().partition('"version": "')[2].partition('"')[0]
    known = sum(look.known for look in found)
    yield f"\naxe-core {axe}, rules of WCAG 2.1 A and AA, all folds open. {known} elements are Gradio's own and left"
    yield "out: the box of an empty picture has a name and no role."


SECTIONS: dict[str, tuple[str, Callable[[Path, argparse.Namespace], Lines]]] = {
    "load": ("Under load, with processes killed", under_load),
    "truth": ("What the page says, and when", truthful),
    "attacks": ("Under attack", under_attack),
    "axe": ("Accessibility", accessible),
}
_HEAD = """# The app under load, under attack, and with its processes killed

Written by `python benchmarks/app_checks.py`; the tests under `tests/studio/app/` do the same at a smaller size. Every
client under load draws its own prompt and seed on the pocket base; its picture must be, byte for byte, what the same
seed gave alone.
"""


@contextlib.contextmanager
def _app(library: Path, *arguments: str, password: str = "") -> Iterator[RunningApp]:
    environment = {"STUDIO_PASSWORD": password} if password else {}
    with _started(RunningApp(library, environment=environment, arguments=arguments)) as app:
        yield app


@contextlib.contextmanager
def _started(app: RunningApp) -> Iterator[RunningApp]:
    try:
        yield app.start()
    finally:
        app.close()
        app.end_runs()


def _measured() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("gradio", "gradio_client", "playwright", "torch"))
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} CPU cores ({platform.machine()}), "
        f"Python {platform.python_version()}, {versions}."
    )


def _sections_of(page: Path) -> dict[str, str]:
    """Return the sections of a page that was written before, by name."""
    if not page.exists():
        return {}
    found = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    names = {title: name for name, (title, _) in SECTIONS.items()}
    return {names[text.split("\n")[0]]: f"## {text.rstrip()}\n" for text in found if text.split("\n")[0] in names}


if __name__ == "__main__":
    main()
