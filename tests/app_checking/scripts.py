"""Scripts in everything that the page shows: names, captions, prompts, metadata, problems, logs, and what is typed."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Dialog, Page

from studio.app.tabs import tabs
from trainers.card import AdapterCard, BaseCard, ParentCard, PartCard, RecipeCard

from .browsing import open_tab, settle
from .files import Tally, safetensors_file
from .running_app import RunningApp

VARIANTS = (
    "<img src=x onerror=fired(1)>",
    "<script>fired(2)</script>",
    "<svg/onload=fired(3)>",
    "</textarea></title></style><svg onload=fired(4)>",
    "\"'><img src=x onerror=fired(5)>",
    "<iframe srcdoc='<img src=x onerror=parent.fired(6)>'></iframe>",
    "<details open ontoggle=fired(7)>x</details>",
    "[click](javascript:fired(8))",
    '![x](x"onerror="fired(9))',
    "<a href='javascript:fired(10)'>x</a>",
    "<math><mtext><table><mglyph><style><img src=x onerror=fired(11)>",
    "$\\href{javascript:fired(12)}{x}$",
    "<input autofocus onfocus=fired(13)>",
    "{{constructor.constructor('fired(14)')()}}",
    "`${fired(15)}`",
    '<xmp><p title="</xmp><img src=x onerror=fired(16)>">',
    "<style>@import '//evil.example/x.css'</style>",
    "<base href='//evil.example/'><form action=javascript:fired(17)><button>x</button></form>",
    "\\u003cimg src=x onerror=fired(18)\\u003e",
    "&lt;img src=x onerror=fired(19)&gt;",
)
LONG = " ".join(VARIANTS)
SHORT = VARIANTS[0]
"""Can be a file's name."""
_INJECTED = """() => [...document.body.querySelectorAll(
  "img[src='x'], a[href^='javascript:'], iframe[srcdoc], script[src*=evil], math, details[ontoggle], style:empty"
)].filter(
  (found) => !(found.closest(".toast-message-text")?.textContent ?? "").startsWith("Invalid file type")
).map((found) => {
  const places = [];
  for (let at = found; at; at = at.parentElement) places.push(at.id || at.className || at.tagName);
  return `${found.outerHTML.slice(0, 60)} in ${places.slice(1, 9).join(" < ")}`;
})"""
"""Elements that only a text could have brought, and where they are. One place is Gradio's own and left out: its script
shows the name of a file of the wrong kind as HTML, which it cleans of scripts."""
_VISIBLE = "(item) => !item.disabled && !item.readOnly && item.offsetParent"
_SHOW_MORE = (
    "(whole) => whole.querySelectorAll('button.label-wrap:not(.open), button[data-name]').forEach((b) => b.click())"
)
_PRESS = f"""(whole) => {{
  const found = [...whole.querySelectorAll("button")].filter({_VISIBLE});
  found.forEach((button) => button.click());
  return found.length;
}}"""
_TYPE = f"""(whole, text) => {{
  const never = ["file", "range", "checkbox", "radio", "number"];
  const seen = [...whole.querySelectorAll("textarea, input")].filter({_VISIBLE});
  const found = seen.filter((x) => !never.includes(x.type));
  for (const field of found) {{
    field.focus();
    field.value = text;
    for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, {{bubbles: true}}));
    field.dispatchEvent(new KeyboardEvent("keydown", {{key: "Enter", bubbles: true}}));
    field.blur();
  }}
  return found.length;
}}"""
_LONGEST_MS = 8000


def plant_scripts(app: RunningApp) -> int:
    """Write scripts into all that a library holds, before the app looks at it; return the number of places."""
    library = app.library
    places = [
        *_plant_adapters(library.adapters_folder),
        *_plant_run(library.runs_folder / "r", SHORT),
        *_plant_pictures(library.folder / "datasets" / SHORT),
        *_plant_comparison(library.folder / "outputs" / "compare" / "hostile"),
    ]
    rows = [{"prompt": text, "completion": text, "label": text} for text in (*VARIANTS, LONG)]
    (library.folder / f"{SHORT}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(places) + len(rows)


def _plant_adapters(folder: Path) -> Iterable[str]:
    parent = ParentCard(name=LONG, weight=1, created=LONG, triggers=(LONG,), licence=LONG)
    card = AdapterCard(
        name=LONG,
        created=LONG,
        base=BaseCard(name=LONG, family="sd1", fingerprint=LONG, widths={LONG: 1}),
        parts={"unet": PartCard(method="lora", settings={"rank": 2, LONG: LONG})},
        triggers=(LONG, SHORT),
        licence=LONG,
        data={"source": LONG, LONG: LONG},
        training={"steps": LONG, LONG: LONG},
        recipe=RecipeCard(blend=LONG, parents=(parent,), settings={LONG: LONG}),
        versions={LONG: LONG},
        scores={LONG: 1.0},
    )
    for name in ("hostile", SHORT, "[x](javascript:fired(20))"):
        (folder / name).mkdir(parents=True)
        (folder / name / "adapter.json").write_text(card.model_dump_json())
        yield from (f"{name}/{key}" for key in type(card).model_fields)
    (folder / "broken").mkdir()
    (folder / "broken" / "adapter.json").write_text(json.dumps({LONG: LONG}))
    yield "broken"


def _plant_run(folder: Path, name: str) -> Iterable[str]:
    settings = {"kind": "images", "name": LONG, "base": LONG, "data": LONG, "sample_prompts": [LONG], LONG: LONG}
    state = {"status": "failed", "step": 1, "total": 2, "problem": f"{LONG}\n  - {LONG}", "updated": SHORT}
    for place in (folder, folder.parent / name):
        (place / "samples").mkdir(parents=True)
        (place / "config.yaml").write_text(json.dumps(settings))
        (place / "state.json").write_text(json.dumps(state))
        (place / "log.txt").write_text(LONG)
        (place / "output.txt").write_text(LONG)
        (place / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss": 1.0, LONG: 1.0}) + "\n")
        write_image(place / "samples" / "step-00000000-0.png")
        (place / "samples" / "step-00000001.jsonl").write_text(json.dumps({"prompt": LONG, "answer": LONG}) + "\n")
        yield from (*settings, *state, "log", "output", "metric", "picture", "answer", "prompt")
    broken = folder.parent / "broken"
    broken.mkdir()
    (broken / "config.yaml").write_text(f"kind: {json.dumps(LONG)}")
    (broken / "state.json").write_text(LONG)
    yield "broken"


def _plant_pictures(folder: Path) -> Iterable[str]:
    folder.mkdir(parents=True)
    for number, variant in enumerate(VARIANTS):
        name = f"{number} {variant.replace('/', '_')}"
        write_image(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"{variant}, {LONG}")
        yield from (f"{name} as a name", f"{name} as a caption")
    (folder / f"{SHORT}.jpg").write_bytes(b"no picture")
    yield "unreadable"


def _plant_comparison(folder: Path) -> Iterable[str]:
    folder.mkdir(parents=True)
    files = ["grid.png", "grid.csv", "grid-means.csv"]
    write_image(folder / "grid.png")
    quoted = LONG.replace('"', '""')
    for name in files[1:]:
        (folder / name).write_text(f'"{quoted}","{quoted}",judge\n"{quoted}","{quoted}",judge\n')
    about = {"title": LONG, "finished": LONG, "judge": LONG, "files": files}
    (folder / "comparison.json").write_text(json.dumps(about))
    yield from (*about, "cells", "means")


def write_image(path: Path) -> Path:
    """Write a small picture with scripts in its text."""
    info = PngInfo()
    for key in ("prompt", "parameters", "settings", "adapters", "Comment", "studio"):
        info.add_itxt(key, LONG)
    info.add_itxt("studio_settings", json.dumps({"prompt": LONG, "adapters": {LONG: 1.0}, "base": LONG, "seed": 1}))
    Image.new("RGB", (8, 8), "teal").save(path, pnginfo=info)
    return path


class Fired:
    """Notes what a page's scripts tell it, and dialogs."""

    def __init__(self, page: Page) -> None:
        self.notes: list[str] = []
        self._page = page
        page.context.expose_binding("fired", lambda source, number=None: self.notes.append(f"script {number}"))
        page.on("dialog", self._on_dialog)

    def since(self, when: str) -> list[str]:
        """Return what was noted since last time, and texts that have become elements."""
        notes, self.notes = self.notes, []
        found = [f"a text became an element: {place}" for place in self._page.evaluate(_INJECTED)]
        return [f"{when}: {note}" for note in (*notes, *found)]

    def _on_dialog(self, dialog: Dialog) -> None:
        self.notes.append("a dialog")
        dialog.dismiss()


def use_every_tab(app: RunningApp, page: Page, folder: Path, *, buttons: bool) -> Tally:
    """Open every tab, put scripts into every field and file box, and press buttons; right is that none runs.

    Args:
        buttons: press every button that is to be seen, else only what shows more.
    """
    fired, tally = Fired(page), Tally()
    texts = folder / f"{SHORT}.jsonl"
    shutil.copy(app.library.folder / texts.name, texts)
    adapter = folder / f"{SHORT}.safetensors"
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    adapter.write_bytes(safetensors_file({"__metadata__": {LONG: LONG}, LONG: tensor}))
    files = [write_image(folder / f"{SHORT}.png"), adapter, texts]
    open_tab(page, app.url, next(iter(tabs())), f"&x={SHORT}")
    for name in tabs():
        page.locator(f"#tab-{name}-button").dispatch_event("click")
        whole = page.locator(f"#tab-{name}")
        whole.wait_for(state="visible")
        settle(page, longest_ms=_LONGEST_MS)
        whole.evaluate(_SHOW_MORE)
        for place in whole.locator("input[type=file]").all():
            place.set_input_files(files if place.get_attribute("multiple") is not None else files[:1])
            tally.tried += 1
        tally.tried += whole.evaluate(_TYPE, LONG)
        settle(page, longest_ms=_LONGEST_MS)
        if buttons:
            tally.tried += whole.evaluate(_PRESS)
            settle(page, longest_ms=_LONGEST_MS)
        tally.wrong += fired.since(name)
    page.reload()  # what the page keeps of its forms comes back
    settle(page)
    tally.wrong += fired.since("after a reload")
    tally.wrong += ["the detector does not work"] * (not _control(page, fired))
    return tally


def _control(page: Page, fired: Fired) -> bool:
    """Return whether a script that does run is noted, and a text that has become an element."""
    page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", LONG)
    page.wait_for_function("document.querySelector('img[src=x]').complete")
    found = "\n".join(fired.since("control"))
    return "script 1" in found and "became an element" in found
