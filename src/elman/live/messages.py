"""What the server is sent and what it answers, as its OpenAPI document tells it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from elman.live.sessions import LONGEST
from elman.steps import Causal, StackStep

Key = Annotated[str, Field(min_length=1, max_length=LONGEST, examples=["pump 7"])]
Number = Annotated[
    int | None,
    Field(
        ge=1, le=2**53, description="which step of its sequence this is, from 1; a repeated one is not counted again"
    ),
]
Step = Annotated[
    float | str | list[float | None] | None,
    Field(description="a number, a name, or a number for each feature; null where one is missing", examples=[0.5]),
]


class PushOne(BaseModel):
    """One step."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    x: Step
    number: Number = None


class PushWatched(PushOne):
    """One step over a WebSocket."""

    state: bool = Field(False, description="whether the answer is to tell the state, too")
    gates: bool = Field(False, description="whether it is to tell what each gate let through, of each layer")


class PushOfKey(PushOne):
    """One step of one of several sequences."""

    key: Key


class PushMany(BaseModel):
    """Steps of several sequences; those of one key in their order. All are counted, or none."""

    model_config = ConfigDict(extra="forbid")

    pushes: list[PushOfKey] = Field(min_length=1)


class Fork(BaseModel):
    """Where a copy of the sequence goes on."""

    model_config = ConfigDict(extra="forbid")

    to: Key


class Sequences(BaseModel):
    """Whole sequences, each by itself, from the beginning."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    sequences: list[list[Step]] = Field(min_length=1, examples=[[[0.5, 0.25, 1.0]]])


class Answer(BaseModel):
    """What the model says after a step."""

    number: int = Field(description="steps of the sequence so far", examples=[1])
    answer: dict[str, Any] = Field(examples=[{"label": "up", "p": {"up": 0.9, "down": 0.1}}])
    y: list[float | None] = Field(description="the same as plain numbers", examples=[[0.9, 0.1]])


class Answers(BaseModel):
    """An answer to each, in the same order."""

    answers: list[Answer]


Numbers = list[float] | list[list[float]] | list[list[list[float]]]


class State(BaseModel):
    """Where a sequence stands."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: int = Field(ge=1, le=2**53)
    state: dict[str, Numbers] = Field(examples=[{"h": [[0.0, 0.25]]}])


class Session(BaseModel):
    """A sequence as it stands."""

    key: str
    steps: int
    state: dict[str, Any] = Field(description="its numbers by parts; those of the layers are (L, H)")


class Keys(BaseModel):
    """Which sequences there are."""

    keys: list[str] = Field(description="the first of them, sorted", examples=[["pump 7", "pump 8"]])
    count: int = Field(description="of all that were written")


class Refusal(BaseModel):
    """Why a request was not done, in one line."""

    error: str
    expected: int | None = Field(None, description="of a number out of turn: the one that is")


def about(step: Causal) -> dict[str, Any]:
    """What a model reads, what it says, and what its state is made of."""
    return {
        "model": step.where.split(".")[0],
        "reads": getattr(getattr(step, "codes", None), "analyzer", None) or "numbers",
        "inputs": step.inputs,
        "outputs": step.outputs,
        "names": getattr(getattr(step, "says", None), "names", None),
        "state": {part.name: list(part.shape) for part in step.parts},
        "gates": list(step.stack.cell.gates) if isinstance(step, StackStep) else [],
    }
