"""Of each kind of model, how its answer to an example is explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elman.errors import OptionError
from elman.estimators import AnomalyDetector, Captioner, Forecaster, LanguageModel, Transcriber, Translator
from elman.estimators.base import Estimator, of_kind
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.explain.example import Example
from elman.evidence.explain.of_anomalies import of_anomaly
from elman.evidence.explain.of_forecasts import of_forecast
from elman.evidence.explain.of_labels import of_labels
from elman.evidence.explain.of_language import of_language
from elman.evidence.explain.of_texts import of_caption, of_transcript, of_translation

_KINDS: dict[type[Estimator], Callable[[Any, Any, int | None], Example]] = {
    SequenceEstimator: of_labels,
    LanguageModel: of_language,
    Forecaster: of_forecast,
    Translator: of_translation,
    Captioner: of_caption,
    Transcriber: of_transcript,
    AnomalyDetector: of_anomaly,
}


def explain_example(model: Any, x: Any = None, step: int | None = None) -> Example:
    """Which steps of x the model's answer is owed to, by `integrated_gradients`, and every state and gate on the way.

    model  a fitted estimator
    x      one sequence, as `predict` takes many; of a forecaster a series: its name in the history that the model keeps
           (None: the only one), or a table with one
    step   where its answer has steps, which of them is explained

    Of each kind of model this is divided, and so is `step` counted, in brackets what None is:

    classifier, regressor   log-odds of the class that is said, or the number
    tagger          the same at a step [the last]
    language model  log-odds of the token, or of the note, that is most probable after a step [the last]
    forecaster      the median at a step of the horizon [0, the first], among past values, covariates and calendar
    translator      log-odds of the word that is written at a step [0, the first], among what is read
    captioner       the same [the last word], among the words written before: a picture has no steps
    transcriber     log-odds of a label of the transcript [0, the first], where it peaks
    detector        the score of a step [that of the greatest], among those before it and itself

    Numbers begin at their mean (a forecaster's at the level of its window), names at a vector of zeros.

    Raises `OptionError` for other models, or a step that is not there; `DataError` for what cannot be read.
    """
    explained = of_kind(model, _KINDS)
    if explained is None or not hasattr(model, "network_"):
        raise OptionError(f"explain: expected a fitted estimator, got {type(model).__name__}. Call fit, or load a run.")
    body = getattr(model, "body", "recurrent")
    if body != "recurrent":
        raise OptionError(f"explain: body={body!r} has no states over time. Give a recurrent model.")
    return explained(model, x, step)
