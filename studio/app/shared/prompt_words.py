"""What a prompt holds that is not understood, said in the reader's language."""

from collections.abc import Callable, Iterable

from pipelines.prompt_notes import prompt_notes


def prompt_notes_said(say: Callable[..., str], prompts: Iterable[str | None]) -> list[str]:
    """Return a sentence for each note on some prompts, each once.

    Args:
        say: (key, values) -> a text in the reader's language.
    """
    notes = [note for prompt in prompts for note in prompt_notes(prompt or "")]
    return list(dict.fromkeys(say(f"prompt.{note.kind}", found=note.shown) for note in notes))
