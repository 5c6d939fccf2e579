"""`LanguageModel`: the next character, word or frame of notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data.batching import TruncatedBatches
from elman.data.inputs import ANALYZERS, Names, as_numbers, inputs_from_json, is_text
from elman.decode import Choice, generate
from elman.errors import DataError, OptionError
from elman.estimators.base import Estimator, one_of, seed_of, seeded, whole
from elman.estimators.language.network import LanguageNetwork
from elman.training.progress import Progress

JOINED = {"character": "", "word": " ", "space": " "}


@dataclass(kw_only=True, eq=False, repr=False)
class LanguageModel(Estimator):
    """Learns a distribution of the next character or word of texts, or of the next frame (T, notes) of piano rolls.

    A frame says of each note 0 or 1.

    It reads long texts in windows of `truncate` steps with its state carried from window to window (truncated
    backpropagation through time), so that what it remembers is not bounded by the window.

    analyzer, lowercase, min_count   as of `SequenceClassifier`: "character", "word" or "space"
    embedding_size   parts of a token's vector
    truncate         steps of a window
    validation       share at the end of each text that is held back to choose the best weights by

    inputs_   the vocabulary; None for frames

    The other arguments are those of every estimator: see `Estimator`. Raises `DataError`, `OptionError`.
    Source: Mikolov et al. 2010, doi:10.21437/Interspeech.2010-343; frames: Boulanger-Lewandowski et al. 2012,
    arXiv:1206.6392.

    >>> model = LanguageModel(hidden_size=16, max_steps=150, batch_size=2, learning_rate=0.02).fit("so it goes. " * 60)
    >>> model.generate("so it g", max_new_tokens=12, do_sample=False)
    'oes. so it g'
    """

    analyzer: str = "character"
    lowercase: bool = False
    min_count: int = 1
    embedding_size: int = 64
    truncate: int = 100
    validation: float = 0.05
    hidden_size: int = 384
    batch_size: int = 32
    dropout: float = 0.1
    learning_rate: float = 0.003
    average: float | None = 0.995

    inputs_: Names | None = field(init=False)

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> LanguageModel:
        """Trains on a text, a list of texts, or a list of piano rolls; `y`, not used, is there for scikit-learn."""
        self._check()
        texts = self._texts(X, "fit")
        self.seed_ = seed_of(self.random_state)
        text = is_text(texts)
        self.inputs_ = (
            Names.fit(texts, analyzer=self.analyzer, lowercase=self.lowercase, least=self.min_count) if text else None
        )
        codes = self._encode(texts, "fit")
        self.size_ = 0 if text else codes[0].shape[1]
        learn, held = self._split(codes)
        train = self._batches(learn)
        self.hash_ = train.fingerprint()
        steps = self.max_steps or min(max(8 * len(train), 500), 20_000)
        network = seeded(self.seed_, self._network)
        self._train(network, train, self._batches(held) if held else None, steps, folder, resume, progress)
        return self

    # -- judging ---------------------------------------------------------------------------------------------------

    def bits(self, X: Any) -> float:
        """-log2 p per token of these texts, each read from an empty state; its first token is given, not predicted."""
        return self._mean_loss(X, "bits") / math.log(2)

    def perplexity(self, X: Any) -> float:
        """exp of -log p per token: between how many tokens it hesitates, so to speak."""
        return math.exp(self._mean_loss(X, "perplexity"))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log p per token, or per frame, in nats: greater is better."""
        return -self._mean_loss(X, "score")

    def _mean_loss(self, X: Any, method: str) -> float:
        self._check_fitted()
        total, count = 0.0, 0
        with torch.no_grad():
            for codes in self._encode(self._texts(X, method), method):
                state = None
                for start in range(0, len(codes) - 1, 2000):
                    part = codes[start : start + 2001]
                    z, state = self.network_(part[None, :-1], state)
                    y = part[None, 1:] if self.size_ else part[None, 1:, 0]
                    total += float(self.network_.losses(z, y).double().sum())
                    count += len(part) - 1
        if not count:
            raise DataError(f"LanguageModel.{method}: X must have two tokens or more, got fewer.")
        return total / count

    # -- generating ------------------------------------------------------------------------------------------------

    def generate(self, prompt: Any = None, *, max_new_tokens: int = 200, seed: int | None = 0, **options: Any) -> Any:
        """What follows the prompt, as text (of words with spaces between).

        options  of `elman.decode.Choice`: do_sample, temperature, top_k, top_p, min_p, typical_p, repetition_penalty,
                 no_repeat_ngram_size
        seed     the same one gives the same text; None: another each time
        """
        return JOINED[self.analyzer].join(self.stream(prompt, max_new_tokens=max_new_tokens, seed=seed, **options))

    def stream(
        self, prompt: Any = None, *, max_new_tokens: int = 200, seed: int | None = 0, **options: Any
    ) -> Iterator[str]:
        """The same token by token, as each is chosen."""
        self._check_fitted()
        if self.inputs_ is None:
            raise OptionError("LanguageModel.generate: frames of notes are not generated here. Use texts.")
        known = {f.name for f in fields(Choice)}
        if odd := sorted(set(options) - known):
            raise OptionError(
                f"LanguageModel.generate: unknown option {odd[0]!r}. Choose from: {', '.join(sorted(known))}."
            )
        names = self.inputs_.vocabulary.names
        prompt = names[0] if prompt is None else prompt
        codes = self._encode([prompt], "generate")[0][:, 0].tolist()
        options = {"do_sample": True, **options}
        with torch.no_grad():
            steps = generate(self.network_, [codes], max_new_tokens=max_new_tokens, choice=Choice(**options), seed=seed)
            for row in steps:
                code = row[0]
                yield names[code - 1] if code else "\N{REPLACEMENT CHARACTER}"

    # -- parts -----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        one_of("LanguageModel", "analyzer", self.analyzer, list(ANALYZERS))
        for name in ("embedding_size", "min_count", "truncate"):
            whole("LanguageModel", name, getattr(self, name))
        if not 0 <= self.validation < 1:
            raise OptionError(f"LanguageModel: validation must be in [0, 1), got {self.validation!r}.")
        self.check_common()

    def _texts(self, X: Any, method: str) -> list[Any]:
        texts = [X] if isinstance(X, str) else list(X)
        if not texts:
            raise DataError(f"LanguageModel.{method}: X must have at least one text, got none.")
        return texts

    def _encode(self, texts: Sequence[Any], method: str) -> list[Tensor]:
        where = f"LanguageModel.{method}"
        if self.inputs_ is not None:
            return self.inputs_.encode(texts, where)
        arrays = as_numbers(texts, getattr(self, "size_", None) or None, where)
        for row, a in enumerate(arrays):
            if not np.isin(a, (0, 1)).all():
                raise DataError(f"{where}: frames must hold 0 and 1, sequence {row} does not. Is it a text?")
        return [torch.from_numpy(a).float() for a in arrays]

    def _split(self, codes: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """What to learn from, in as many stretches as a batch has rows, and the end of each text."""
        learn, held = [], []
        for one in codes:
            cut = len(one) - int(self.validation * len(one))
            if len(one) - cut < 2:
                cut = len(one)
            learn.append(one[:cut])
            held += [one[cut:]] if cut < len(one) else []
        total = sum(map(len, learn))
        longest = max(2, -(-total // self.batch_size))
        stretches = [one[i : i + longest + 1] for one in learn for i in range(0, len(one) - 1, longest)]
        stretches = [s for s in stretches if len(s) > 1]
        if not stretches:
            raise DataError("LanguageModel.fit: X must have a text of two tokens or more, got shorter ones.")
        return stretches, held

    def _batches(self, codes: list[Tensor]) -> TruncatedBatches:
        y = [one[1:] if self.size_ else one[1:, 0] for one in codes]
        return TruncatedBatches([one[:-1] for one in codes], y, self.batch_size, self.truncate, self.seed_)

    def _network(self) -> LanguageNetwork:
        tokens = 0 if self.inputs_ is None else len(self.inputs_)
        return LanguageNetwork(tokens, self.size_ or self.embedding_size, **self.stack())

    # -- the run folder --------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {"inputs": None if self.inputs_ is None else self.inputs_.to_json(), "size": self.size_}

    def _restore(self, state: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        kept = state["inputs"]
        self.inputs_ = None if kept is None else inputs_from_json(kept)  # pyright: ignore[reportAttributeAccessIssue]
        self.size_ = state["size"]
        self.network_ = self._network()
