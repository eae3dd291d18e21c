"""The app's look: one theme with local fonts, and the few rules that components do not bring along."""

from typing import Any

CSS = """
.gradio-container { width: 100% !important; max-width: 1500px !important; margin: 0 auto !important; }
.gradio-container main { width: 100%; }
footer { display: none !important; }
.studio-head h1 { font-size: 1.25rem; margin: 0.2rem 0 0 0; }
.studio-head p { margin: 0; opacity: 0.85; }
.studio-log textarea { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.8rem; }
.studio-problem { border-left: 3px solid #c0392b; padding-left: 0.7rem; }
.studio-columns {
  display: grid; gap: 0.6rem; grid-template-columns: repeat(auto-fit, minmax(min(10.5rem, 100%), 1fr));
}
.studio-answer, .studio-row {
  border: 1px solid var(--border-color-primary); border-radius: 0.4rem; padding: 0.5rem 0.7rem;
}
.studio-answer h4 { margin: 0 0 0.3rem 0; overflow-wrap: anywhere; }
.studio-turn + .studio-turn { margin-top: 1.2rem; }
.studio-row + .studio-row { margin-top: 0.6rem; }
/* shadows at the edge behind which there is more: two that stand still, covered at an end by two that scroll along */
.studio-scroll {
  --edge: var(--body-background-fill); --shadow: color-mix(in srgb, var(--body-text-color) 35%, transparent);
  max-height: 28rem; overflow-y: auto; border-block: 1px solid var(--border-color-primary); padding: 0.3rem 0;
  background:
    linear-gradient(var(--edge) 40%, transparent) top / 100% 2.5rem local no-repeat,
    linear-gradient(transparent, var(--edge) 60%) bottom / 100% 2.5rem local no-repeat,
    linear-gradient(var(--shadow), transparent) top / 100% 0.9rem scroll no-repeat,
    linear-gradient(transparent, var(--shadow)) bottom / 100% 0.9rem scroll no-repeat;
}
.studio-said { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.2rem 0; }
.studio-facts-line { font-size: 0.8rem; margin: 0; color: var(--body-text-color-subdued); }
.studio-masked { color: var(--body-text-color-subdued); }
.studio-histogram { width: 100%; font-size: 0.85rem; }
.studio-facts, .studio-histogram, .studio-histogram tr { border: 0 !important; }
.studio-histogram th, .studio-histogram td {
  border: 0 !important; text-align: left; padding: 0.1rem 0.5rem 0.1rem 0; white-space: nowrap;
}
.studio-chart svg { width: 100%; min-width: 640px; height: auto; display: block; } /* its letters shrink with it */
.studio-chart text { fill: var(--body-text-color); font-size: 12px; }
.studio-grid { stroke: var(--border-color-primary); stroke-width: 1; }
.studio-chart ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; list-style: none; margin: 0.3rem 0 0; padding: 0; }
.studio-chart li { font-size: 0.8rem; overflow-wrap: anywhere; }
.studio-chart li span { display: inline-block; width: 1rem; height: 0.25rem; margin-right: 0.4rem; }
.studio-bar { width: 60%; }
.studio-bar span { display: block; height: 0.8rem; background: var(--color-accent); border-radius: 2px; }
.studio-heading, .studio-heading p { font-weight: 600; }
.studio-wide { overflow-x: auto; }
.studio-table { border-collapse: collapse; width: 100%; font-size: 0.85rem; }
.studio-table, .studio-table thead, .studio-table tbody, .studio-table tr { border: 0 !important; }
.studio-table caption { text-align: left; font-weight: 600; padding: 0 0 0.4rem 0; }
.studio-table th, .studio-table td {
  text-align: left; vertical-align: bottom; padding: 0.35rem 0.7rem 0.35rem 0; min-width: 5.5rem;
  border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important;
}
.studio-table td { white-space: nowrap; }
.studio-centred { align-items: center; }
/* the boxes of a row stand in a line, however long the help above them is */
.studio-fields .form > .block { display: flex; flex-direction: column; min-width: min(250px, 100%) !important; }
.studio-fields input { text-overflow: ellipsis; }
.studio-fields .form > .block > .container { flex: 1; display: flex; flex-direction: column; }
.studio-fields .form > .block > .container > :last-child { margin-top: auto; }
.studio-facts { width: 100%; border-collapse: collapse; }
.studio-facts th { text-align: left; white-space: nowrap; vertical-align: top; padding: 0.2rem 0.8rem 0.2rem 0; }
.studio-facts td { padding: 0.2rem 0; overflow-wrap: anywhere; }
.studio-facts tr { border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important; }
.studio-facts th, .studio-facts td { border: 0 !important; }
progress { appearance: none; width: 10rem; max-width: 40%; height: 0.7rem; vertical-align: middle; border: 0; }
progress, progress::-webkit-progress-bar { background: var(--border-color-primary); border-radius: 0.35rem; }
progress::-webkit-progress-value { background: var(--color-accent); border-radius: 0.35rem; }
progress::-moz-progress-bar { background: var(--color-accent); border-radius: 0.35rem; }
/* the colours of code are too pale on white, and a box that scrolls could not be reached by keys */
.cm-content span { color: inherit !important; }
.cm-scroller { max-height: none !important; }
.studio-weights-row { display: flex; flex-wrap: wrap; align-items: end; gap: 0.3rem 0.7rem; margin-bottom: 0.6rem; }
.studio-weights-row label { display: flex; flex-direction: column; gap: 0.2rem; min-width: 0; }
.studio-weights-row label span { font-size: 0.8rem; color: var(--block-title-text-color); }
.studio-weights-name { flex: 3 1 10rem; }
.studio-weights-slider { flex: 3 1 9rem; }
.studio-weights-number { flex: 1 1 5.5rem; }
.studio-weights-row input[type=text], .studio-weights-row input[type=number] {
  width: 100%; padding: 0.45rem 0.6rem; font-size: 0.9rem; color: var(--body-text-color);
  background: var(--input-background-fill); border: 1px solid var(--border-color-primary); border-radius: 0.4rem;
}
.studio-weights-row input[type=range] { width: 100%; height: 2.35rem; margin: 0; accent-color: var(--color-accent); }
.studio-weights-row button, .studio-weights + datalist + button {
  padding: 0.45rem 0.8rem; font-size: 0.85rem; border-radius: 0.4rem; cursor: pointer;
  color: var(--button-secondary-text-color); background: var(--button-secondary-background-fill);
  border: 1px solid var(--border-color-primary);
}
.studio-weights-row :focus-visible, .studio-weights + datalist + button:focus-visible {
  outline: 2px solid var(--color-accent); outline-offset: 1px;
}
.studio-weights + datalist + button:disabled { opacity: 0.5; cursor: default; }
/* behind an opened picture the gallery's own copy of it shone through, large and blurred */
.gallery-container .preview::before { opacity: 1 !important; }
/* notices stand at the foot of the page, where they hide neither the tabs nor what was just pressed */
.toast-wrap { top: auto !important; bottom: 0.6rem !important; }
@media (max-width: 640px) {
  .gradio-container { padding: 0.4rem !important; }
  .studio-wide-only { display: none !important; }
  #data-gallery .grid-container { grid-template-columns: repeat(auto-fill, minmax(100px, 1fr)) !important; }
}
"""

HEAD = """<script>
document.addEventListener("click", (event) => {
  if (!event.target.closest("[role=tab]")) return;
  document.querySelectorAll(".toast-close").forEach((button) => button.click());
});
</script>"""
"""Closes notices when another tab is opened: they are about the one that was left."""


def theme() -> Any:
    """Return the theme; its fonts are those of the system, so that nothing is fetched."""
    import gradio as gr

    system = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK TC", "sans-serif"]
    readable = {  # the theme's own are below the contrast that small text needs on white
        "body_text_color_subdued": "*neutral_500",
        "block_info_text_color": "*neutral_500",
        "button_primary_background_fill": "*primary_600",
        "button_primary_background_fill_hover": "*primary_700",
        # and its empty boxes below what a shape needs
        "checkbox_border_width": "1px",
        "checkbox_border_color": "*neutral_500",
        "checkbox_border_color_dark": "*neutral_400",
        "checkbox_border_color_hover": "*neutral_700",
        "checkbox_border_color_hover_dark": "*neutral_200",
    }
    return gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=system,
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    ).set(**readable)
