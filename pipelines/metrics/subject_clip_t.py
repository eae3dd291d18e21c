"""CLIP-T of the subject: the cosine of the judge's embeddings of picture and subject, -1 to 1.

A style that drops colour cannot keep "a red boat, sea", but it can keep "a boat"; see `pipelines.compare.subject`.
"""

from collections.abc import Sequence

from pipelines.metrics._metric import Metric, MetricText
from pipelines.metrics._pictures import Pictures


def _measure(pictures: Pictures, adapter: str) -> Sequence[float]:
    found: list[float] = pictures.judge.prompt_scores(pictures.embeddings, pictures.subjects).tolist()
    return found


METRIC = Metric(
    "subject_clip_t",
    MetricText("Fits the subject (CLIP-T)", "The subject is the part of the prompt that every look should keep."),
    short="CLIP-T {subject}",
    measure=_measure,
    better="higher",
    below_pictures=True,
    place=20,
)
