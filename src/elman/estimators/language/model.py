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
from elman.data.byte_pairs import BytePairs
from elman.data.inputs import ANALYZERS, Names, as_numbers, inputs_from_json, is_text
from elman.data.on_disk import Text
from elman.data.vocabulary import UNKNOWN
from elman.decode import Choice, generate, generate_frames
from elman.errors import DataError, OptionError, suggest
from elman.estimators.base import Estimator, one_of, seed_of, seeded, whole
from elman.estimators.language.bodies import BODIES
from elman.estimators.language.network import LanguageNetwork
from elman.steps.parts import Chances, Looked, Probabilities
from elman.steps.pipeline import Pipeline
from elman.training.progress import Progress

BPE = "bpe"
MANY = 20
"""texts of which whole ones are held back: of fewer, one alone may be unlike the others"""
LONG = 50_000
"""tokens or frames above which a net rather learns too little than too much by heart"""
AT_ONCE = 2000
"""steps of a text that is judged, lest the scores of a long one fill the memory"""


@dataclass(kw_only=True, eq=False, repr=False)
class LanguageModel(Estimator):
    """Learns a distribution of the next character or word of texts, or of the next frame (T, notes) of piano rolls.

    A frame says of each note 0 or 1.

    It reads long texts in windows of `truncate` steps with its state carried from window to window (truncated
    backpropagation through time), so that what it remembers is not bounded by the window.

    body             what carries the past: "recurrent"; the scoreboard's baselines are "feed-forward", over the last
                     4 steps, and "linear", of the last one
    analyzer         "character"; "word", "spaced" (words, each with the space before it) or "space" (as spaces cut it);
                     or "bpe": byte pairs, by the package tokenizers
    lowercase        whether capitals are ignored
    min_count        how often a token must occur to be known; None: 1 for characters, 2 for words, so that the model
                     meets unknown ones while it learns
    vocabulary_size  tokens at most: the most frequent ones; of "bpe" 256 of them are single bytes
    embedding_size   parts of a token's vector
    truncate         steps of a window
    recurrent_dropout   of the `Recurrent` stack; None: 0.15, but 0.4 for fewer than 50 000 tokens or frames
    validation       share that is held back to choose the best weights by: of 20 texts or more whole ones, else the
                     beginning of each

    inputs_   the vocabulary; None for frames

    The other arguments are those of every estimator: see `Estimator`. Raises `DataError`, `OptionError`.
    Source: Mikolov et al. 2010, doi:10.21437/Interspeech.2010-343; frames: Boulanger-Lewandowski et al. 2012,
    arXiv:1206.6392.

    >>> model = LanguageModel(hidden_size=16, max_steps=150, batch_size=2, learning_rate=0.02).fit("so it goes. " * 60)
    >>> model.generate("so it g", max_new_tokens=12, do_sample=False)
    'oes. so it g'
    """

    body: str = "recurrent"
    analyzer: str = "character"
    lowercase: bool = False
    min_count: int | None = None
    vocabulary_size: int = 10_000
    embedding_size: int = 64
    truncate: int = 100
    validation: float = 0.05
    hidden_size: int = 384
    batch_size: int = 16
    dropout: float = 0.2
    recurrent_dropout: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    learning_rate: float = 0.003
    average: float | None = 0.995

    inputs_: Names | BytePairs | None = field(init=False)

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        X_validation: Any = None,
        folder: Path | str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> LanguageModel:
        """Trains on a text, a list of texts, or a list of piano rolls; `y`, not used, is there for scikit-learn.

        A text may be one on disk, as `elman.data.read_corpus` gives it of a large file: its codes stay there too.

        X_validation  texts to choose the best weights by; then nothing of X is held back
        """
        self.check()
        texts = self._texts(X, "fit")
        self.seed_ = seed_of(self.random_state)
        self.inputs_ = self._learn_tokens(texts) if is_text(texts) else None
        self.size_ = 0  # of an earlier fit it would be asked for
        codes = self._encode(texts, "fit")
        self.size_ = codes[0].shape[1] if self.inputs_ is None else 0
        if X_validation is None:
            learn, held = self._split(codes)
        else:
            learn, held = codes, self._encode(self._texts(X_validation, "fit"), "fit")
        held = [x for x in held if len(x) > 1]
        train = self._batches(self._stretches(learn))
        self.hash_ = train.fingerprint()
        self.length_ = sum(map(len, learn))
        steps = self.max_steps or enough_steps(len(train), self.length_)
        network = seeded(self.seed_, self._network)
        network.begin_at(self._frequencies(learn))
        self._train(network, train, self._batches(held) if held else None, steps, folder, resume, progress)
        return self

    def batches(self, X: Any, steps: int | None = None) -> TruncatedBatches:
        """Texts as the fitted net takes them in training, in windows of so many steps; None: of `truncate`."""
        self._check_fitted()
        return self._batches(self._stretches(self._encode(self._texts(X, "batches"), "batches")), steps)

    # -- reading ---------------------------------------------------------------------------------------------------

    def encode(self, X: Any) -> list[np.ndarray]:
        """What it reads: the code of each token, (T_i,), 0 for an unknown one; of rolls the frames, (T_i, notes)."""
        self._check_fitted()
        codes = self._encode(list(X), "encode")
        return [x.numpy() if self.inputs_ is None else x[:, 0].numpy() for x in codes]

    def pieces(self, text: str) -> list[str]:
        """A text's tokens as they are written: joined, they are the text but for its spacing of words."""
        self._check_fitted()
        if self.inputs_ is None:
            raise OptionError("LanguageModel.pieces: a model of piano rolls reads no text.")
        return self.inputs_.pieces(text)

    # -- judging ---------------------------------------------------------------------------------------------------

    def losses(self, X: Any) -> list[np.ndarray]:
        """-log p of each token, or frame, of these texts but their first, which is given; in nats, (T_i - 1,) each.

        Each text is read from an empty state.
        """
        self._check_fitted()
        device, found = next(self.network_.parameters()).device, []
        with torch.no_grad():
            for codes in self._encode(self._texts(X, "losses"), "losses"):
                state, parts = None, [np.empty(0)]
                for start in range(0, len(codes) - 1, AT_ONCE):
                    part = codes[None, start : start + AT_ONCE + 1].to(device)
                    z, state = self.network_(part[:, :-1], state)
                    y = part[:, 1:] if self.size_ else part[:, 1:, 0]
                    parts.append(self.network_.losses(z, y)[0].double().cpu().numpy())
                found.append(np.concatenate(parts))
        return found

    def bits(self, X: Any) -> float:
        """-log2 p per token: of a text of characters, bits per character."""
        return -self.score(X) / math.log(2)

    def perplexity(self, X: Any) -> float:
        """exp of -log p per token: between how many tokens it hesitates, so to speak."""
        return math.exp(-self.score(X))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log p per token, or per frame, in nats: greater is better."""
        losses = np.concatenate(self.losses(X))
        if not len(losses):
            raise DataError("LanguageModel.score: X must have two tokens or more, got fewer.")
        return -float(losses.mean())

    # -- generating ------------------------------------------------------------------------------------------------

    def generate(self, prompt: Any = None, *, max_new_tokens: int = 200, seed: int | None = 0, **options: Any) -> Any:
        """What follows the prompt: text that goes on where it ends; or frames, (max_new_tokens, notes) of 0 and 1.

        prompt   a text, or a piano roll (T, notes); None: the vocabulary's first token, or a frame of silence
        options  of `elman.decode.Choice`: do_sample, temperature, top_k, top_p, min_p, typical_p, repetition_penalty,
                 no_repeat_ngram_size; of frames do_sample and temperature alone
        seed     the same one gives the same text; None: another each time

        Raises `OptionError`, `DataError`.
        """
        found = list(self.tokens(prompt, max_new_tokens=max_new_tokens, seed=seed, **options))
        if self.inputs_ is not None:
            return "".join(found)
        return np.array(found, dtype=np.uint8).reshape(len(found), self.size_)

    def tokens(
        self, prompt: Any = None, *, max_new_tokens: int = 200, seed: int | None = 0, **options: Any
    ) -> Iterator[Any]:
        """The same token by token, as each is chosen: pieces of text that need only be joined; or frames (notes,)."""
        self._check_fitted()
        whole("LanguageModel.generate", "max_new_tokens", max_new_tokens)
        known = {f.name for f in fields(Choice)}
        if odd := sorted(set(options) - known):
            raise OptionError(f"LanguageModel.generate: unknown option {odd[0]!r}, {suggest(odd[0], known)}")
        names = self.inputs_
        begin: Any = np.zeros((1, self.size_)) if names is None else "".join(names.spell([1]))
        codes = self._encode([begin if prompt is None else prompt], "generate")[0]
        how: dict[str, Any] = {"max_new_tokens": max_new_tokens, "choice": Choice(**options), "seed": seed}
        with torch.no_grad():
            if names is None:
                for frame in generate_frames(self.network_, codes, **how):
                    yield frame.numpy().astype(np.uint8)
                return
            tokens = generate(self.network_, [codes[:, 0].tolist()], **how)
            after = 0 if prompt is None else int(codes[-1, 0])
            yield from names.spell((code or 0 for (code,) in tokens), after)

    def pipeline(self) -> Pipeline:
        """What it computes at each step: from a token or frame the probability of each next token, or of each note."""
        self._check_fitted()
        where, net, names = "LanguageModel.stream", self.network_, self.inputs_
        if self.body != "recurrent":
            raise OptionError(f"{where}: body={self.body!r} carries no state. Train a recurrent one.")
        if names is None:
            return Pipeline(where, net.body, head=net.head, says=Chances(self.size_))
        if not isinstance(names, Names):
            raise OptionError(f"{where}: byte pairs are cut from whole texts. Train on characters or words.")
        says = Probabilities([UNKNOWN, *names.vocabulary.names], "next", without_first=True)
        return Pipeline(where, net.body, Looked(net.table.weight), head=net.head, says=says, codes=names)

    # -- parts -----------------------------------------------------------------------------------------------------

    def stack(self) -> dict[str, Any]:
        """The arguments that are the `Recurrent` stack's."""
        by_amount = 0.15 if getattr(self, "length_", LONG) >= LONG else 0.4
        chosen = by_amount if self.recurrent_dropout is None else self.recurrent_dropout
        return super().stack() | {"recurrent_dropout": chosen}

    def check(self) -> None:
        """Raises `OptionError` for an argument that cannot be used; `fit` asks it first."""
        one_of("LanguageModel", "body", self.body, list(BODIES))
        one_of("LanguageModel", "analyzer", self.analyzer, [*ANALYZERS, BPE])
        for name in ("embedding_size", "truncate", "vocabulary_size"):
            whole("LanguageModel", name, getattr(self, name))
        if self.min_count is not None:
            whole("LanguageModel", "min_count", self.min_count)
        if not 0 <= self.validation < 1:
            raise OptionError(f"LanguageModel: validation must be in [0, 1), got {self.validation!r}.")
        self.check_common()

    def _texts(self, X: Any, method: str) -> list[Any]:
        texts = [X] if isinstance(X, (str, Text)) else list(X)
        if not texts:
            raise DataError(f"LanguageModel.{method}: X must have at least one text, got none.")
        return texts

    def _learn_tokens(self, texts: list[Any]) -> Names | BytePairs:
        """The vocabulary."""
        if self.analyzer == BPE:
            if any(isinstance(text, Text) for text in texts):
                mend = "Read it with on_disk=False, or choose another analyzer."
                raise DataError(
                    f"LanguageModel.fit: X must be in memory for the analyzer 'bpe', got one on disk. {mend}"
                )
            return BytePairs.fit(texts, size=self.vocabulary_size, lowercase=self.lowercase)
        least = self.min_count or (1 if self.analyzer == "character" else 2)
        most = self.vocabulary_size
        names = Names.fit(texts, analyzer=self.analyzer, lowercase=self.lowercase, least=least, most=most)
        if not names.vocabulary.names:
            raise DataError(f"LanguageModel.fit: no token of X occurs {least} times. Give more text, or min_count=1.")
        return names

    def _encode(self, texts: Sequence[Any], method: str) -> list[Tensor]:
        where = f"LanguageModel.{method}"
        if self.inputs_ is not None:
            return list(self.inputs_.encode(texts, where))
        arrays = as_numbers(texts, getattr(self, "size_", None) or None, where)
        for row, a in enumerate(arrays):
            if not np.isin(a, (0, 1)).all():
                raise DataError(f"{where}: frames must hold 0 and 1, sequence {row} does not. Is it a text?")
        return [torch.from_numpy(a).float() for a in arrays]

    def _split(self, codes: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """What to learn from, and what is held back: whole texts where there are many, else the beginning of each.

        Not the end: what comes after a text is likest to it, and would be the worse predicted.
        """
        if len(codes) >= MANY:
            held = set(np.random.default_rng(self.seed_).permutation(len(codes))[: int(self.validation * len(codes))])
            learn, rest = ([x for i, x in enumerate(codes) if (i in held) == of] for of in (False, True))
            return learn, rest
        cuts = [int(self.validation * len(x)) for x in codes]
        pairs = list(zip(codes, cuts, strict=True))
        return [x[cut:] for x, cut in pairs], [x[:cut] for x, cut in pairs]

    def _stretches(self, codes: list[Tensor]) -> list[Tensor]:
        """The texts cut into at least as many stretches as a batch has rows."""
        longest = max(2, -(-sum(map(len, codes)) // self.batch_size))
        stretches = [x[i : i + longest + 1] for x in codes for i in range(0, len(x) - 1, longest)]
        if not stretches:
            raise DataError("LanguageModel.fit: X must have a text of two tokens or more, got shorter ones.")
        return stretches

    def _batches(self, codes: list[Tensor], steps: int | None = None) -> TruncatedBatches:
        y = [one[1:] if self.size_ else one[1:, 0] for one in codes]
        return TruncatedBatches([one[:-1] for one in codes], y, self.batch_size, steps or self.truncate, self.seed_)

    def _frequencies(self, codes: list[Tensor]) -> Tensor:
        """How probable each token, or each note, is by its count; one half more of each than there is."""
        counts = torch.full((self.size_ or len(self.inputs_ or ()),), 0.5, dtype=torch.float64)
        for x in codes:  # one at a time, for they may lie on disk
            counts += x.double().sum(0) if self.size_ else torch.bincount(x[:, 0], minlength=len(counts))
        return counts / (sum(map(len, codes)) + 1 if self.size_ else counts.sum())

    def _network(self) -> LanguageNetwork:
        tokens = 0 if self.inputs_ is None else len(self.inputs_)
        return LanguageNetwork(tokens, self.size_ or self.embedding_size, body=self.body, **self.stack())

    # -- the run folder --------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {
            "inputs": None if self.inputs_ is None else self.inputs_.to_json(),
            "size": self.size_,
            "length": self.length_,
        }

    def _restore(self, state: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.inputs_ = None if state["inputs"] is None else inputs_from_json(state["inputs"])
        self.size_, self.length_ = state["size"], state["length"]
        self.network_ = self._network()


def enough_steps(batches: int, length: int) -> int:
    """Training steps for texts of so many tokens in all, which make so many batches.

    15 000 / √length passes: 15 over a million tokens, 130 over 14 000; at most 20 000 steps.

    >>> enough_steps(600, 1_000_000), enough_steps(15, 14_000)
    (9000, 1902)
    """
    return min(math.ceil(15_000 / math.sqrt(length) * batches), 20_000)
