"""Another sequence for each sequence: translation, transcription, captions."""

from elman.estimators.transduction.translator import Translator

__all__ = ["Translator"]
