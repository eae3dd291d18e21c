"""The tab Text in a browser and through its endpoint: preview, train, chat in columns, vote, blend, save."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from playwright.sync_api import Locator, Page, expect

from pipelines.bases import POCKET_LANGUAGE, SHIPPED, load_text_base, pocket_folder
from studio.app.text.votes import votes_file
from studio.library.library import Library
from tests.studio.app.conftest import RunningApp, free_port
from tests.studio.app.text_tab import SLOW_MS, choose, pick, queue, send, show_rows
from tests.support import random_adapter
from trainers.adapter import write_adapter


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app on a library with two text adapters with random tensors."""
    library = Library(tmp_path_factory.mktemp("text"))
    base = load_text_base(POCKET_LANGUAGE, device="cpu")
    for seed, name in enumerate(("one", "two")):
        adapter = random_adapter(base, name, parts=("language_model",), seed=seed, size=0.1)
        write_adapter(library.adapters_folder / name, adapter)
    app = RunningApp(library.folder, free_port()).start()
    yield app
    app.close()


def _open(page: Page, app: RunningApp) -> Locator:
    page.goto(app.url)
    page.get_by_role("tab", name="Text", exact=True).click()
    tab = page.locator("#tab-text")
    expect(tab.locator("#text-send")).to_be_visible()
    page.wait_for_function("window.studioKept && window.studioKept.text")
    return tab


def test_chat_in_columns_vote_and_save_the_blend(writing: RunningApp, page: Page) -> None:
    tab = _open(page, writing)
    choose(tab, 0, "one", "0.6")
    tab.get_by_role("button", name="Add an adapter").click()
    choose(tab, 1, "two", "0.5")
    tab.get_by_label("Longest answer in tokens").fill("8")
    send(tab, "Who <b>are</b> you?")
    expect(tab.get_by_text("Done: 4 answers, seed 0.")).to_be_visible()
    titles = tab.locator("#text-answers h4")
    expect(titles).to_have_text(["base", "one", "two", "0.6·one + 0.5·two"])
    expect(tab.locator("#text-answers .studio-asked")).to_contain_text("Who <b>are</b> you?")
    expect(tab.locator("#text-answers")).to_contain_text(re.compile(r"\d+ tokens, [\d,]+ per second"))

    pick(tab, "Better", "one")
    expect(tab.get_by_label("than", exact=True)).to_have_value("base")
    tab.get_by_role("button", name="Keep the vote").click()
    expect(tab.locator("#text-voted")).to_contain_text("Pairs kept for pocket-lm: 1.")
    (pair,) = map(json.loads, votes_file(writing.library, POCKET_LANGUAGE).read_text().splitlines())
    assert pair["prompt"] == [{"role": "user", "content": "Who <b>are</b> you?"}]
    assert pair["adapters"] == {"chosen": ["one"], "rejected": []}

    page.reload()
    expect(titles).to_have_count(4)  # the chat and the form outlive a reload
    expect(tab.get_by_label("Exact weight").nth(1)).to_have_value("0.5")
    tab.get_by_role("button", name="Save the blend, and where").click()
    tab.get_by_label("Name of the blend").fill("both")
    tab.get_by_role("button", name="Save and prove").click()
    expect(tab.get_by_role("button", name="Show it in the library")).to_be_visible()
    recipe = writing.library.card("both").recipe
    assert recipe is not None
    assert {parent.name: parent.weight for parent in recipe.parents} == {"one": 0.6, "two": 0.5}

    tab.get_by_role("button", name="Train on these votes").click()
    expect(page.get_by_label("Stage", exact=True)).to_have_value(re.compile("(dpo)"))
    expect(page.get_by_label("Hold to the base (beta)", exact=True)).to_have_value("0.1")
    queue(page, "my-votes", steps=2)
    expect(page.locator("#runs-head")).to_contain_text("my-votes · done", timeout=SLOW_MS)
    card = writing.library.card("my-votes")
    assert card.data["stage"] == "dpo"
    assert card.training["batch_size"] == 1, "there is one vote"


def test_stop_edit_and_retry(writing: RunningApp, page: Page) -> None:
    tab = _open(page, writing)
    tab.get_by_label("Longest answer in tokens").fill("480")
    tab.get_by_label("Temperature").fill("6")  # an answer that does not end by itself
    send(tab, "Tell me everything.")
    expect(tab.locator("#text-answers .studio-facts-line").first).to_contain_text("tokens")
    tab.get_by_role("button", name="Stop", exact=True).click()
    expect(tab.get_by_text(re.compile("^Stopped.$|^Done")).first).to_be_visible()
    tab.get_by_role("button", name="Edit last").click()
    expect(tab.locator("#text-prompt textarea")).to_have_value("Tell me everything.")
    expect(tab.locator("#text-answers h4")).to_have_count(0)
    tab.get_by_label("Longest answer in tokens").fill("4")
    send(tab, "Tell me less.")
    expect(tab.get_by_text("Done: 1 answer, seed 0.")).to_be_visible()
    tab.get_by_label("Seed", exact=True).fill("5")
    tab.get_by_role("button", name="Retry").click()
    expect(tab.get_by_text("Done: 1 answer, seed 5.")).to_be_visible()
    expect(tab.locator("#text-answers .studio-asked")).to_have_count(1)


def test_preview_train_and_chat_with_it(writing: RunningApp, page: Page) -> None:
    tab = _open(page, writing)
    tab.get_by_role("tab", name="Texts to learn from").click()
    tab.locator("#text-show").click()
    expect(tab.locator("#text-rows section")).to_have_count(3)
    expect(tab.locator("#text-rows .studio-learned").first).to_have_text(re.compile("^⟦.*⟧$", re.DOTALL))
    expect(tab.locator("#text-rows .studio-masked").first).to_contain_text("<|user|>")
    expect(tab.locator("#text-lengths th[scope=row]").first).to_be_visible()
    tab.locator("#text-train").click()
    queue(page, "my-pirate", steps=3)
    chat = page.get_by_role("button", name="Chat with it")
    expect(chat).to_be_enabled(timeout=SLOW_MS)
    expect(page.locator("#runs-answers section")).to_have_count(4)  # beside the losses
    expect(page.get_by_role("button", name="Draw with it")).to_be_hidden()
    chat.click()
    expect(tab.get_by_role("combobox", name="Adapter", exact=True).first).to_have_value("my-pirate")
    tab.get_by_label("Longest answer in tokens").fill("4")
    tab.locator("#text-send").click()
    expect(tab.get_by_text("Done: 2 answers, seed 0.")).to_be_visible()
    tab.get_by_role("button", name="Perplexity before and after").click()
    tab.locator("#text-measure").click()
    status = tab.locator("#text-measure-status")
    expect(status).to_contain_text("Done.", timeout=SLOW_MS)
    measured = tab.get_by_role("columnheader", name="Perplexity")
    expect(measured.first).to_be_visible()
    tab.get_by_label("Held-out texts").fill("/nowhere")
    tab.get_by_label("Held-out texts").press("Enter")
    tab.locator("#text-measure").click()
    expect(status.locator("[role=alert]")).to_contain_text("nowhere")
    expect(measured).to_have_count(0)  # those figures are of other texts


def test_texts_and_bases_that_cannot_be_used_are_told_in_a_sentence(
    writing: RunningApp, page: Page, tmp_path: Path
) -> None:
    chat = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ahoy " * 600}]}
    files = {
        "broken.jsonl": (json.dumps(chat) + '\n{"messages": [', "broken.jsonl line 2 is not JSON"),
        "columns.jsonl": ('{"frage": "hi", "antwort": "yo"}', "columns.jsonl line 1 has the columns frage, antwort"),
        "alone.jsonl": (json.dumps({"messages": chat["messages"][:1]}), "there is no answer of the assistant"),
    }
    tab = _open(page, writing)
    tab.get_by_role("tab", name="Texts to learn from").click()
    for name, (content, said) in files.items():
        _show(tab, tmp_path / name, content)
        expect(tab.locator("#text-data-status .studio-problem")).to_contain_text(said)
    _show(tab, tmp_path / "long.jsonl", json.dumps(chat))
    expect(tab.locator("#text-facts")).to_contain_text(
        re.compile(r"1 of 1 row was cut to 512 tokens \(long\.jsonl line 1\)")
    )

    other = tmp_path / "other"
    shutil.copytree(pocket_folder(SHIPPED[POCKET_LANGUAGE]), other)
    tokens = json.loads((other / "tokenizer.json").read_text())
    tokens["added_tokens"].append({**tokens["added_tokens"][0], "id": 4000, "content": "<|more|>"})
    (other / "tokenizer.json").write_text(json.dumps(tokens))
    tab.get_by_role("tab", name="Chat", exact=True).click()
    base = tab.get_by_role("combobox", name="Base", exact=True)
    base.fill(str(other))
    base.press("Enter")
    send(tab, "Who are you?")
    expect(tab.locator("#text-status .studio-problem")).to_contain_text("The tokenizer does not fit the base 'other'")


def _show(tab: Locator, path: Path, content: str) -> None:
    path.write_text(content)
    show_rows(tab, str(path))


def test_the_endpoint_answers(writing: RunningApp, tmp_path: Path) -> None:
    client = Client(writing.url, verbose=False, download_files=str(tmp_path))
    try:
        asked = {"messages": [{"role": "user", "content": "Who are you?"}], "max_new_tokens": 6, "api_name": "/chat"}
        plain = client.predict(**asked)
        changed = client.predict(**asked, adapters={"one": 1.0}, seed=2, temperature=0.5)
        assert plain == client.predict(**asked)
        assert plain != changed
        with pytest.raises(Exception, match="unknown"):
            client.predict(**asked, adapters={"nobody": 1.0})
    finally:
        client.close()
