"""What a prompt holds that is not understood, said in the reader's language."""

from collections.abc import Callable, Iterable, Mapping

from pipelines.prompt_notes import SENTENCES, prompt_notes

_IN_THE_APP = {
    "adapter": "{found} is read as letters: tags load no adapter here. Take it out, and choose the adapter with its "
    "weight in the form.",
    "embedding": "{found} is read as letters. A learned word is an adapter here: import its file in Library, choose "
    "it, and write its word, such as <ink>.",
}
_CHINESE = {
    "adapter": "{found} 會被當成文字：此處的標籤不會載入轉接器。請刪去，並在表單中選擇轉接器與權重。",
    "hypernetwork": "{found} 會被當成文字：此處不支援 hypernetwork。請刪去。",
    "tag": "{found} 會被當成文字：此處的角括號只用於學得的詞，例如 <ink>。請刪去。",
    "embedding": "{found} 會被當成文字。學得的詞在此處是轉接器：請在「收藏庫」匯入其檔案，"
    "選擇它，再寫出該詞，例如 <ink>。",
    "wildcard": "{found} 會被當成文字：此處不會代入任何內容。請直接寫出該詞，或每段提示詞各寫一行。",
    "change": "{found} 會被當成文字：此處的提示詞在每一步都相同。請只寫其中一段。",
    "weight": "{found} 的括號與數字會一併被讀取：此處的詞沒有權重。請只寫文字。",
    "keyword": "{found} 會被當成一般的詞：此處不會連接多段提示詞。請以逗號寫成一段。",
    "escape": "{found} 的反斜線會一併被讀取：此處的括號不需要它。請只寫括號。",
}
TEXTS: Mapping[str, tuple[str, str]] = {
    f"prompt.{kind}": (_IN_THE_APP.get(kind, sentence), _CHINESE[kind]) for kind, sentence in SENTENCES.items()
}


def prompt_notes_said(say: Callable[..., str], prompts: Iterable[str | None]) -> list[str]:
    """Return a sentence for each note on some prompts, each once.

    Args:
        say: (key, values) -> a text in the reader's language.
    """
    notes = [note for prompt in prompts for note in prompt_notes(prompt or "")]
    return list(dict.fromkeys(say(f"prompt.{note.kind}", found=note.shown) for note in notes))
