"""What the judge gives whatever is not there: the median CLIP-T of things that the prompt does not name."""

from collections.abc import Sequence

from pipelines.compare.subject import THINGS, things_not_in
from pipelines.metrics._metric import Metric, MetricText
from pipelines.metrics._pictures import Pictures


def _measure(pictures: Pictures, adapter: str) -> Sequence[float]:
    things = [f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}" for thing in THINGS]
    scores = pictures.embeddings @ pictures.judge.embed_texts(things).T
    named = [f"{prompt} {subject}" for prompt, subject in zip(pictures.prompts, pictures.subjects, strict=True)]
    return [float(own[list(things_not_in(words))].median()) for own, words in zip(scores, named, strict=True)]


METRIC = Metric(
    "absent_clip_t",
    MetricText("Fits things that are not there (CLIP-T)", "The zero of the share of the subject."),
    short="CLIP-T absent",
    measure=_measure,
    hidden=True,
)
