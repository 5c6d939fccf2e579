"""What can be asked of a training run: one frozen, checked record."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from elman.errors import OptionError, suggest


class TrainingSettings(BaseModel):
    """How to train. Together with the data it determines a run on the CPU to the last bit.

    Raises OptionError, one line, for an unknown name or a value that cannot be used.

    >>> TrainingSettings(max_epochs=3).learning_rate
    0.001
    >>> TrainingSettings(learning_rat=0.1)
    Traceback (most recent call last):
    elman.errors.OptionError: TrainingSettings: unknown setting 'learning_rat', did you mean 'learning_rate'?
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    max_epochs: int | None = Field(default=50, ge=1)
    """passes over the data; with `max_steps`, whichever ends first"""
    max_steps: int | None = Field(default=None, ge=1)
    """updates of the weights"""
    batch_size: int = Field(default=32, ge=1)
    """sequences side by side; read by whoever makes the batches"""
    truncate: int | None = Field(default=None, ge=1)
    """steps of a window of truncated backpropagation through time; read by whoever makes the batches"""

    optimizer: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    """what makes a step of a gradient; sgd has Nesterov's momentum of 0.9"""
    learning_rate: float = Field(default=1e-3, gt=0)
    """the optimiser's η at its peak"""
    weight_decay: float = Field(default=0.01, ge=0)
    """the optimiser's λ, on matrices only: a bias or a per-unit vector is never decayed"""
    clip_norm: float | None = Field(default=1.0, gt=0)
    """largest L2 norm of the whole gradient; None: never clipped"""
    warmup: int | float = Field(default=0.0, ge=0)
    """linear rise of η: a whole number is steps, a fraction below 1 a share of the run"""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """how η falls to 0 after the warm-up"""

    patience: int | None = Field(default=None, ge=1)
    """validations without a better loss before the run stops; None: it never stops early"""
    validate_every: int | None = Field(default=None, ge=1)
    """steps between validations; None: once an epoch"""
    average: float | None = Field(default=None, gt=0, lt=1)
    """decay of the moving average of the weights, which is then what is validated and kept; None: no average"""

    checkpoint_every: int | None = Field(default=None, ge=1)
    """steps between checkpoints"""
    checkpoint_seconds: float | None = Field(default=30.0, ge=0)
    """seconds between checkpoints; either one suffices"""

    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """fabric's name for the arithmetic"""
    accelerator: Literal["auto", "cpu", "cuda", "gpu", "mps"] = "auto"
    """fabric's name for the device; "auto" takes the best there is"""
    devices: int = Field(default=1, ge=1)
    """how many of them (under `torchrun`, it decides)"""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """of dropout and everything else drawn at random while training"""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as problem:
            raise OptionError(f"TrainingSettings: {_first_line(problem, type(self))}") from None

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSettings:
        if self.max_epochs is None and self.max_steps is None:
            raise ValueError("max_epochs and max_steps are both None, so that the run would never end; give one")
        if isinstance(self.warmup, float) and self.warmup >= 1:
            raise ValueError(
                f"warmup as a share of the run must be below 1, got {self.warmup}; for steps write a whole number"
            )
        return self

    def harmless(self) -> set[str]:
        """The settings that may change on resuming, since the weights do not depend on them."""
        return {"checkpoint_every", "checkpoint_seconds"}


def _first_line(problem: ValidationError, model: type[BaseModel]) -> str:
    """Of pydantic's report the first finding, in the house's wording."""
    finding = problem.errors(include_url=False)[0]
    if not finding["loc"]:
        return f"{finding['msg'].removeprefix('Value error, ')}."
    name = str(finding["loc"][0])
    if finding["type"] == "extra_forbidden":
        return f"unknown setting {name!r}, {suggest(name, model.model_fields)}"
    if finding["type"] == "literal_error":
        known = finding.get("ctx", {})["expected"]
        names = [word.strip(" '") for word in known.replace(" or ", ",").split(",")]
        return f"{name} must be one of {known}, got {finding['input']!r}; {suggest(str(finding['input']), names)}"
    expected = finding["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    note = model.model_fields[name].description
    return f"{name} must be {expected}, got {finding['input']!r}." + (f" It is {note}." if note else "")
