"""The share of a style that arrived: CLIP-I on a scale where the base's own pictures are 0 and the style's are 1."""

from pipelines.metrics._look import Look, Mean
from pipelines.metrics._metric import Metric, MetricText


def _summarise(look: Look, adapter: str) -> Mean:
    from pipelines.judge import own_style_score, share_of_style

    column = f"clip_i:{adapter}"
    own = own_style_score(look.references[adapter])
    return Mean(share_of_style(look.mean(column), look.base_mean(column), own))


METRIC = Metric(
    "style",
    MetricText(
        "Share of the style {adapter}",
        "Share of a style: 0 is the base, 1 (100 %) the style's own training pictures.",
    ),
    short="{adapter} style",
    summarise=_summarise,
    by_adapter=True,
    needs_base=True,
    interval=False,
    better="higher",
    share=True,
    above_columns=True,
    place=50,
)
