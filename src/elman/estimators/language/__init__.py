"""What comes next, again and again: text and piano rolls."""

from elman.estimators.language.model import LanguageModel

__all__ = ["LanguageModel"]
