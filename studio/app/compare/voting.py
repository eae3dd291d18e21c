"""The part of Compare where people vote blindly between two pictures, by buttons or keys."""

from typing import Any

import gradio as gr
from gradio.context import Context

from pipelines.compare.votes import Pair
from studio.app.compare.ballot import Ballot
from studio.app.shared.desk import Desk, told
from studio.operations.stored_comparisons import find_comparison
from trainers.errors import UserError

TEXTS = {
    "compare.vote": ("Vote blindly", "盲測投票"),
    "compare.vote_start": ("Start voting", "開始投票"),
    "compare.vote_help": (
        "Two pictures of the same prompt and seed; which drew which stays hidden. Keys: ← left, → right, ↓ tie. Votes "
        "are kept as preference pairs for later training.",
        "兩張圖片的提示詞與種子相同，出處保密。按鍵：← 左、→ 右、↓ 平手。投票會存成偏好配對，供日後訓練使用。",
    ),
    "compare.vote_left": ("Left is better", "左邊較好"),
    "compare.vote_right": ("Right is better", "右邊較好"),
    "compare.vote_tie": ("Tie", "平手"),
    "compare.vote_skip": ("Skip", "略過"),
    "compare.picture_left": ("Left", "左"),
    "compare.picture_right": ("Right", "右"),
    "compare.vote_prompt": ("Prompt of both", "兩者的提示詞"),
    "compare.vote_progress": (
        "{count} {count:vote|votes} cast, {open} {open:pair|pairs} open.",
        "已投 {count} 票，還有 {open} 組。",
    ),
    "compare.vote_all": (
        "Every pair has been voted on: {count} {count:vote|votes}. The results stand below.",
        "所有配對都已投票：共 {count} 票。結果如下。",
    ),
    "compare.vote_results": ("Results of the vote", "投票結果"),
    "compare.vote_show": ("Show the results", "顯示結果"),
    "compare.vote_heads": ("look|wins|votes|95 % interval", "樣式|勝|票數|95 % 信賴區間"),
}
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_KEYS = """() => {
  document.addEventListener('keydown', (event) => {
    const names = {ArrowLeft: 'left', ArrowRight: 'right', ArrowDown: 'tie'};
    const at = event.target;
    const busy = at.closest('input, textarea, select, [contenteditable], [role=tab], [role=listbox]');
    const button = names[event.key] && document.getElementById('vote-' + names[event.key]);
    if (!button || busy || button.offsetParent === null || event.repeat) return;
    event.preventDefault();
    button.click();
  });
}"""


def place_voting(desk: Desk, comparison: gr.Dropdown) -> None:
    """Place the voting on the comparison that is chosen in a dropdown."""
    words = desk.words
    with gr.Accordion(words("compare.vote"), open=False):
        gr.Markdown(words("compare.vote_help"))
        with gr.Row():
            start = gr.Button(words("compare.vote_start"), variant="primary", size="sm", min_width=120)
            show = gr.Button(words("compare.vote_show"), size="sm", min_width=120)
        progress = gr.Markdown()
        with gr.Column(visible=False) as booth:
            prompt = gr.Textbox(label=words("compare.vote_prompt"), interactive=False)
            with gr.Row():
                left, right = (
                    gr.Image(
                        label=words(f"compare.picture_{side}"),
                        alt_text=words.both(f"compare.picture_{side}"),
                        type="filepath",
                        interactive=False,
                        buttons=[],
                        min_width=140,
                        height=320,
                    )
                    for side in ("left", "right")
                )
            with gr.Row():
                answers = {
                    answer: gr.Button(words(f"compare.vote_{answer}"), min_width=100, elem_id=f"vote-{answer}")
                    for answer in ("left", "tie", "right", "skip")
                }
        results = gr.Dataframe(
            label=words("compare.vote_results"), interactive=False, visible=False, datatype="str", wrap=True
        )
    ballot, pair = gr.State(None), gr.State(None)
    outputs = [ballot, pair, booth, progress, prompt, left, right, results]
    booths = _Booth(desk)
    start.click(booths.begin, comparison, outputs, **_QUIET)
    show.click(booths.show, comparison, results, **_QUIET)
    comparison.change(booths.leave, None, outputs, **_QUIET)
    for answer, button in answers.items():
        button.click(booths.voter(answer), [ballot, pair], outputs, **_QUIET)
    root = Context.root_block
    assert root is not None, "the tab stands on a page"
    root.load(None, js=_KEYS, **_QUIET)


class _Booth:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def begin(self, name: str | None, request: gr.Request) -> list[Any]:
        """Open the voting on a comparison."""
        with told():
            return self._next(self._ballot(name), request)

    def show(self, name: str | None, request: gr.Request) -> Any:
        """Show how it stands, which is not blind any more."""
        with told():
            return self._results(self._ballot(name), request)

    @staticmethod
    def leave() -> list[Any]:
        """Close it, because another comparison was chosen."""
        return [None, None, gr.update(visible=False), "", "", None, None, gr.update(visible=False)]

    def voter(self, answer: str) -> Any:
        """Return the handler of one answer."""

        def vote(ballot: Ballot | None, shown: Pair | None, request: gr.Request) -> list[Any]:
            with told():
                if ballot is None or shown is None:
                    raise UserError("No pair is open. Start the voting first.")
                ballot.vote(shown, answer)
                return self._next(ballot, request)

        return vote

    def _ballot(self, name: str | None) -> Ballot:
        if not name:
            raise UserError("No comparison is chosen. Draw one, or choose one above.")
        return Ballot(find_comparison(self._desk.library, name))

    def _next(self, ballot: Ballot, request: gr.Request) -> list[Any]:
        pairs, say = ballot.open_pairs(), self._desk.words.say
        if not pairs:
            said = say(request, "compare.vote_all", count=ballot.count())
            return [ballot, None, gr.update(visible=False), said, "", None, None, self._results(ballot, request)]
        said = say(request, "compare.vote_progress", count=ballot.count(), open=len(pairs))
        left, right = ballot.pictures(pairs[0])
        booth, hidden = gr.update(visible=True), gr.update(visible=False)
        return [ballot, pairs[0], booth, said, pairs[0].left.prompt, left, right, hidden]

    def _results(self, ballot: Ballot, request: gr.Request) -> Any:
        heads = self._desk.words.say(request, "compare.vote_heads").split("|")
        return gr.update(value={"headers": heads, "data": ballot.results()}, visible=True)
