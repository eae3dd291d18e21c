"""The page's texts in the reader's language.

What stands on the page is translated by the browser, by its own language; what a handler says later is translated here,
by the language that the browser asked for.
"""

from typing import Any

import gradio as gr

from studio.app.shared.locales import ENGLISH, Counting, language_of, locales, tags_of


class Words:
    """All texts by key. A key that is missing is an error when the app is built."""

    def __init__(self) -> None:
        english = locales()[ENGLISH]
        tables = {tag: {**english, **texts} for language, texts in locales().items() for tag in tags_of(language)}
        self.i18n = gr.I18n(**tables)

    def __call__(self, key: str) -> Any:
        """Return a text for a component, which the browser translates."""
        if key not in self:
            raise RuntimeError(f"there is no text {key!r}")
        return self.i18n(key)

    def __contains__(self, key: str) -> bool:
        return key in locales()[ENGLISH]

    def both(self, key: str) -> str:
        """Return a text in all languages, for what the browser reads out as it stands, such as a picture's name."""
        return " · ".join(dict.fromkeys(texts[key] for texts in locales().values() if key in texts))

    def say(self, request: gr.Request | None, key: str, **values: object) -> str:
        """Return a text for a handler's answer, in the language that the browser asked for.

        What stands in a text as ``{count:picture|pictures}`` becomes the first word for 1, else the second.
        """
        texts = locales()[reader_language(request)]
        return Counting().format(texts.get(key) or locales()[ENGLISH][key], **values)


def reader_language(request: gr.Request | None) -> str:
    """Return the tag of the language that the browser of a request asks for."""
    headers = getattr(request, "headers", None)
    return language_of((headers.get("accept-language") or "") if headers is not None else "")
