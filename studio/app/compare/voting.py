"""The part of Compare where people vote blindly between two pictures, by buttons or keys."""

from functools import partial
from typing import Any

import gradio as gr
from gradio.context import Context

from pipelines.compare.votes import Pair
from studio.app.compare.ballot import Ballot
from studio.app.shared.desk import Desk, told
from studio.app.shared.named_inputs import QUIET, Changes, named
from studio.operations.stored_comparisons import find_comparison
from trainers.errors import UserError

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


class Voting:
    """The vote on the comparison that is chosen in a dropdown."""

    def __init__(self, desk: Desk, comparison: gr.Dropdown) -> None:
        """Place it, folded away."""
        self._desk, words = desk, desk.words
        with gr.Accordion(words("compare.vote"), open=False):
            gr.Markdown(words("compare.vote_help"))
            with gr.Row():
                start = gr.Button(words("compare.vote_start"), variant="primary", size="sm", min_width=120)
                show = gr.Button(words("compare.vote_show"), size="sm", min_width=120)
            progress = gr.Markdown()
            with gr.Column(visible=False) as booth:
                shown, answers = self._place_booth()
            results = gr.Dataframe(
                label=words("compare.vote_results"), interactive=False, visible=False, datatype="str", wrap=True
            )
        open_ = {"ballot": gr.State(None), "pair": gr.State(None)}
        outputs = {**open_, "booth": booth, "progress": progress, **shown, "results": results}
        name = {"name": comparison}
        start.click(**named(self._begin, name, outputs), **QUIET)
        show.click(**named(self._show, name, {"results": results}), **QUIET)
        comparison.change(**named(self._leave, {}, outputs), **QUIET)
        for answer, button in answers.items():
            button.click(**named(partial(self._vote, answer=answer), open_, outputs), **QUIET)
        root = Context.root_block
        assert root is not None, "the tab stands on a page"
        root.load(None, js=_KEYS, **QUIET)

    def _place_booth(self) -> tuple[dict[str, Any], dict[str, gr.Button]]:
        """Place a pair with its prompt; return them by name, and the buttons by answer."""
        words = self._desk.words
        shown: dict[str, Any] = {"prompt": gr.Textbox(label=words("compare.vote_prompt"), interactive=False)}
        with gr.Row():
            for side in ("left", "right"):
                shown[side] = gr.Image(
                    label=words(f"compare.picture_{side}"),
                    alt_text=words.both(f"compare.picture_{side}"),
                    type="filepath",
                    interactive=False,
                    buttons=[],
                    min_width=140,
                    height=320,
                )
        with gr.Row():
            answers = {
                answer: gr.Button(words(f"compare.vote_{answer}"), min_width=100, elem_id=f"vote-{answer}")
                for answer in ("left", "tie", "right", "skip")
            }
        return shown, answers

    def _begin(self, name: str | None, request: gr.Request) -> Changes:
        """Open the voting on a comparison."""
        with told():
            return self._next(self._ballot(name), request)

    def _show(self, name: str | None, request: gr.Request) -> Changes:
        """Show how it stands, which is not blind any more."""
        with told():
            return {"results": self._results(self._ballot(name), request)}

    def _leave(self) -> Changes:
        """Close it, because another comparison was chosen."""
        return {**_closed(None), "progress": "", "results": gr.update(visible=False)}

    def _vote(self, ballot: Ballot | None, pair: Pair | None, answer: str, request: gr.Request) -> Changes:
        with told():
            if ballot is None or pair is None:
                raise UserError("No pair is open. Start the voting first.")
            ballot.vote(pair, answer)
            return self._next(ballot, request)

    def _ballot(self, name: str | None) -> Ballot:
        if not name:
            raise UserError("No comparison is chosen. Draw one, or choose one above.")
        return Ballot(find_comparison(self._desk.library, name))

    def _next(self, ballot: Ballot, request: gr.Request) -> Changes:
        pairs, say = ballot.open_pairs(), partial(self._desk.words.say, request)
        if not pairs:
            said = say("compare.vote_all", count=ballot.count())
            return {**_closed(ballot), "progress": said, "results": self._results(ballot, request)}
        left, right = ballot.pictures(pairs[0])
        return {
            "ballot": ballot,
            "pair": pairs[0],
            "booth": gr.update(visible=True),
            "progress": say("compare.vote_progress", count=ballot.count(), open=len(pairs)),
            "prompt": pairs[0].left.prompt,
            "left": left,
            "right": right,
            "results": gr.update(visible=False),
        }

    def _results(self, ballot: Ballot, request: gr.Request) -> Any:
        heads = self._desk.words.say(request, "compare.vote_heads").split("|")
        return gr.update(value={"headers": heads, "data": ballot.results()}, visible=True)


def _closed(ballot: Ballot | None) -> Changes:
    """Return changes that leave no pair open."""
    return {
        "ballot": ballot,
        "pair": None,
        "booth": gr.update(visible=False),
        "prompt": "",
        "left": None,
        "right": None,
    }
