"""One line that says how work goes: a sentence, with a bar while there is something to count."""

import html


def progress_line(text: str, done: int = 0, total: int = 0) -> str:
    """Return HTML; the text is escaped, and read out by screen readers as it changes."""
    words = html.escape(text)
    bar = f'<progress style="width:100%" value="{done}" max="{total}" aria-label="{words}"></progress>' if total else ""
    return f'<div role="status" aria-live="polite">{words}{bar}</div>'


def problem_line(text: str) -> str:
    """Return HTML for an error's sentence, which stays until the next attempt."""
    lines = "<br>".join(html.escape(line) for line in text.splitlines())
    return f'<div role="alert" class="studio-problem">{lines}</div>'
