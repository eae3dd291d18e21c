"""CLIP-I: the mean cosine of the judge's embeddings of a picture and of an adapter's training pictures, -1 to 1.

Source: Ruiz et al. 2022, arXiv 2208.12242, section 4 (CLIP-I).
"""

from collections.abc import Sequence

from pipelines.metrics._metric import Metric, MetricText
from pipelines.metrics._pictures import Pictures


def _measure(pictures: Pictures, adapter: str) -> Sequence[float]:
    from pipelines.judge import style_scores

    found: list[float] = style_scores(pictures.embeddings, pictures.references[adapter]).tolist()
    return found


METRIC = Metric(
    "clip_i",
    MetricText("Like {adapter} (CLIP-I)", "CLIP-I is the likeness to an adapter's own training pictures."),
    short="CLIP-I {adapter}",
    measure=_measure,
    by_adapter=True,
    better="higher",
    below_pictures=True,
    place=40,
)
