"""Another sequence for each sequence: translation, transcription, captions."""

from elman.estimators.transduction.captioner import Captioner
from elman.estimators.transduction.transcriber import Transcriber
from elman.estimators.transduction.translator import Translator

__all__ = ["Captioner", "Transcriber", "Translator"]
