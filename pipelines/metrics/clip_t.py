"""CLIP-T of the whole prompt: the cosine of the judge's embeddings of picture and prompt, -1 to 1.

Source: Ruiz et al. 2022, arXiv 2208.12242, section 4 (CLIP-T).
"""

from collections.abc import Sequence

from pipelines.metrics._metric import Metric, MetricText
from pipelines.metrics._pictures import Pictures


def _measure(pictures: Pictures, adapter: str) -> Sequence[float]:
    found: list[float] = pictures.judge.prompt_scores(pictures.embeddings, pictures.prompts).tolist()
    return found


METRIC = Metric(
    "clip_t",
    MetricText(
        "Fits the whole prompt (CLIP-T)",
        "The whole prompt also asks for what a style may drop, such as colours.",
    ),
    short="CLIP-T prompt",
    measure=_measure,
    better="higher",
    place=30,
)
