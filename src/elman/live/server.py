"""A model behind HTTP and WebSockets: sessions that are pushed to, whole sequences that are read, a page to watch."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Path, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from elman.errors import DataError, ElmanError, RunError
from elman.live.batcher import Batcher, BusyError
from elman.live.guards import Guard, Limits
from elman.live.lines import plain
from elman.live.messages import (
    Answer,
    Answers,
    Fork,
    PushMany,
    PushOne,
    PushWatched,
    Refusal,
    Sequences,
    Session,
    State,
    about,
)
from elman.live.sessions import LONGEST, BegunError, OutOfTurnError, Sessions
from elman.steps import Stream

Key = Annotated[str, Path(min_length=1, max_length=LONGEST, examples=["pump 7"])]
POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""what the page may load: its own files, and nothing from elsewhere"""
SAID = {
    401: "no token, or a wrong one",
    409: "out of turn, or begun already",
    413: "too large",
    422: "no such step",
    429: "too many",
    503: "busy: ask again",
}


class Server:
    """What the routes share: the sessions, how much is taken, and the counts of /metrics."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self.sessions, self.limits = sessions, limits
        self.batcher: Batcher | None = None
        self.registry = CollectorRegistry()
        self.steps = Counter("elman_steps", "Steps that were counted.", registry=self.registry)
        self.refused = Counter("elman_refused", "Requests refused, by status.", ["status"], registry=self.registry)
        self.seconds = Histogram("elman_push_seconds", "Seconds from push to answer.", registry=self.registry)
        held = Gauge("elman_sessions", "Sequences held ready.", registry=self.registry)
        held.set_function(lambda: len(sessions))
        waiting = Gauge("elman_waiting", "Steps that wait for the model.", registry=self.registry)
        waiting.set_function(lambda: 0 if self.batcher is None else self.batcher.waiting)

    async def push(self, keys: list[str], steps: list[Any], numbers: list[int | None]) -> list[Answer]:
        """The answers to steps that were pushed together."""
        if len(keys) > self.limits.steps:
            raise _RefusedError(413, f"a request must have at most {self.limits.steps} steps, got {len(keys)}.")
        if self.batcher is None:
            raise BusyError
        self._check_room(keys)
        given = [n for n in numbers if n is not None]
        if given and len(given) < len(numbers):
            raise DataError("either all steps of a request have a number or none has, got some. Number all of them.")
        since = time.perf_counter()
        y, counted = await self.batcher.push(keys, steps, given or None)
        self.seconds.observe(time.perf_counter() - since)
        self.steps.inc(len(keys))
        return [self._answer(*pair) for pair in zip(y, counted.tolist(), strict=True)]

    def _check_room(self, keys: list[str]) -> None:
        if all(map(self.sessions.held, keys)):
            return
        new = sum(key not in self.sessions for key in set(keys))
        if new and len(self.sessions.store) + new > self.limits.sessions:
            raise _RefusedError(429, f"at most {self.limits.sessions} sequences are kept. Delete some.")

    def _answer(self, y: np.ndarray, number: int) -> Answer:
        said = plain(self.sessions.engine.step.answer(y))
        return Answer(number=number, answer=said, y=plain(y.tolist()))

    def state(self, key: str) -> dict[str, Any]:
        """The state of a sequence by parts, as it is now."""
        return {name: plain(part.tolist(), 9) for name, part in self.sessions.state(key).items()}

    def read(self, sequences: list[list[Any]]) -> list[Answer]:
        """What the model says of whole sequences, each from the beginning."""
        if (steps := sum(map(len, sequences))) > self.limits.steps:
            raise _RefusedError(413, f"a request must have at most {self.limits.steps} steps, got {steps}.")
        if empty := [i for i, sequence in enumerate(sequences) if not sequence]:
            raise DataError(f"a sequence must have a step, sequence {empty[0]} has none. Leave it out.")
        answers = []
        for sequence in sequences:
            stream = Stream(self.sessions.engine)
            *_, y = map(stream.push, sequence)
            answers.append(self._answer(y, stream.steps))
        return answers


class _RefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def create_app(sessions: Sessions, *, limits: Limits | None = None, token: str | None = None) -> FastAPI:
    """The application, to be run by any ASGI server; it closes the sessions when it stops.

    token  what clients must send as `Authorization: Bearer …`; None: anyone may ask
    """
    limits = limits or Limits()
    server = Server(sessions, limits)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        server.batcher = Batcher(sessions, limits.waiting)
        yield
        await server.batcher.close()
        sessions.close()

    app = FastAPI(
        title="elman",
        summary="A recurrent network on sequences that are still coming.",
        lifespan=life,
        responses={status: {"model": Refusal, "description": text} for status, text in SAID.items()},
    )
    app.state.server = server
    app.add_middleware(Guard, limits=limits, token=token)
    _add_refusals(app, server)
    _add_routes(app, server)
    _add_tellings(app, server)
    _add_socket(app, server)
    return app


def _add_routes(app: FastAPI, server: Server) -> None:
    sessions = server.sessions

    @app.post("/v1/sessions/{key}/push")
    async def push(key: Key, body: PushOne) -> Answer:
        """One more step of a sequence, which begins with its first."""
        return (await server.push([key], [body.x], [body.number]))[0]

    @app.post("/v1/push")
    async def push_many(body: PushMany) -> Answers:
        """Steps of several sequences at once: all are counted, or none."""
        each = body.pushes
        found = await server.push([p.key for p in each], [p.x for p in each], [p.number for p in each])
        return Answers(answers=found)

    @app.get("/v1/sessions/{key}", responses={404: {"model": Refusal, "description": "no such sequence"}})
    def session(key: Key) -> Session:
        """A sequence as it stands."""
        if key not in sessions:
            raise _RefusedError(404, f"no sequence {key!r}. Push to it.")
        return Session(key=key, steps=sessions.steps(key), state=server.state(key))

    @app.put("/v1/sessions/{key}", status_code=201)
    def put(key: Key, body: State) -> Session:
        """Begins a sequence where another one was, such as a stream that trained or ran elsewhere."""
        sessions.put(key, body.state, body.steps)
        return session(key)

    @app.delete(
        "/v1/sessions/{key}", status_code=204, responses={404: {"model": Refusal, "description": "no such sequence"}}
    )
    def delete(key: Key) -> None:
        """Forgets a sequence."""
        if not sessions.delete(key):
            raise _RefusedError(404, f"no sequence {key!r}.")

    @app.post("/v1/sessions/{key}/fork", status_code=201)
    def fork(key: Key, body: Fork) -> Session:
        """A copy that goes on by itself: what would have been, if."""
        sessions.fork(key, body.to)
        return session(body.to)

    @app.post("/v1/predict")
    def predict(body: Sequences) -> Answers:
        """What the model says of whole sequences."""
        return Answers(answers=server.read(body.sequences))


def _add_tellings(app: FastAPI, server: Server) -> None:
    """Of the model, of the server, and the page."""

    @app.get("/v1/model")
    def model() -> dict[str, Any]:
        """What it reads, what it says, and what its state is made of."""
        return about(server.sessions.engine.step)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether it can answer."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Counts, as Prometheus reads them."""
        return Response(generate_latest(server.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    folder = resources.files("elman.live") / "page"
    app.mount("/page", StaticFiles(directory=str(folder)), name="page")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> HTMLResponse:
        """The page to watch it by."""
        return HTMLResponse((folder / "index.html").read_text("utf-8"), headers={"Content-Security-Policy": POLICY})


def _add_socket(app: FastAPI, server: Server) -> None:
    @app.websocket("/v1/sessions/{key}/stream")
    async def stream(socket: WebSocket, key: str) -> None:
        """A step in each message, {"x": …, "number": …}, an answer to each; a wrong one is told and stops nothing.

        With "state": true the answer has the state, too: as it is then, for others may push to the sequence.
        """
        await socket.accept()
        try:
            while True:
                text = await socket.receive_text()
                await socket.send_json(await _reply(server, key, text))
        except WebSocketDisconnect:
            return


async def _reply(server: Server, key: str, text: str) -> dict[str, Any]:
    try:
        if len(text) > server.limits.body:
            raise _RefusedError(413, f"a message must have at most {server.limits.body} characters.")
        body = PushWatched.model_validate(json.loads(text))
        said = (await server.push([key], [body.x], [body.number]))[0].model_dump()
        return said | {"state": server.state(key)} if body.state else said
    except OutOfTurnError as problem:
        return {"error": str(problem), "expected": problem.expected}
    except BusyError:
        return {"error": SAID[503]}
    except (ElmanError, _RefusedError) as problem:
        return {"error": str(problem)}
    except (ValueError, RecursionError) as problem:
        return {"error": f"a message must be a step as JSON: {' '.join(str(problem).split())[:200]}"}


def _add_refusals(app: FastAPI, server: Server) -> None:
    def refuse(status: int, text: str, expected: int | None = None) -> JSONResponse:
        server.refused.labels(status).inc()
        headers = {"Retry-After": "1"} if status in (429, 503) else None
        return JSONResponse({"error": text, "expected": expected}, status, headers)

    @app.exception_handler(ElmanError)
    async def mistaken(request: Request, problem: ElmanError) -> JSONResponse:
        if isinstance(problem, OutOfTurnError):
            return refuse(409, str(problem), problem.expected)
        if isinstance(problem, RunError):
            return refuse(503, str(problem))
        return refuse(409 if isinstance(problem, BegunError) else 422, str(problem))

    @app.exception_handler(_RefusedError)
    async def refused(request: Request, problem: _RefusedError) -> JSONResponse:
        return refuse(problem.status, str(problem))

    @app.exception_handler(BusyError)
    async def busy(request: Request, problem: BusyError) -> JSONResponse:
        return refuse(503, SAID[503])

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, problem: RequestValidationError) -> JSONResponse:
        first = problem.errors()[0]
        return refuse(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
