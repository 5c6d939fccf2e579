"""A model behind HTTP and WebSockets: sessions that are pushed to, whole sequences that are read, a page to watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from itertools import islice
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route

from elman.errors import ElmanError, RunError
from elman.live.batcher import Batcher, BusyError
from elman.live.guards import Guard, Limits
from elman.live.messages import (
    Answer,
    Answers,
    Fork,
    Keys,
    PushMany,
    PushOne,
    Refusal,
    Sequences,
    Session,
    State,
    about,
)
from elman.live.service import SAID, RefusedError, Service
from elman.live.sessions import LONGEST, BegunError, OutOfTurnError, Sessions
from elman.live.sockets import add_sockets

Key = Annotated[str, Path(min_length=1, max_length=LONGEST, examples=["pump 7"])]
POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""what the page may load: its own files, and nothing from elsewhere"""


def create_app(
    sessions: Sessions,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    run: str = "",
    runs: Sequence[str] = (),
) -> FastAPI:
    """The application, to be run by any ASGI server; it closes the sessions when it stops.

    token      what clients must send as `Authorization: Bearer …`; None: anyone may ask
    run, runs  its name, and the names of all that are beside it
    """
    limits = limits or Limits()
    server = Service(sessions, limits)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        server.batcher = Batcher(sessions, limits.waiting)
        yield
        server.watchers.end()
        await server.batcher.close()
        sessions.close()

    app = FastAPI(
        title="elman",
        summary="A recurrent network on sequences that are still coming.",
        lifespan=life,
        responses={status: {"model": Refusal, "description": text} for status, text in SAID.items()},
    )
    app.state.server = server
    app.add_middleware(Guard, limits=limits, token=token, count=server.count_refusal)
    _add_refusals(app, server)
    _add_routes(app, server)
    _add_tellings(app, server, {"run": run, "runs": list(runs)})
    add_sockets(app, server)
    return app


def create_apps(sessions: Mapping[str, Sessions], **options: Any) -> Starlette:
    """Several models at one address: each with its routes and its page, at /runs/NAME/."""
    apps = {name: create_app(each, run=name, runs=list(sessions), **options) for name, each in sessions.items()}

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in apps.values():
                await stack.enter_async_context(each.router.lifespan_context(each))
            yield

    routes: list[BaseRoute] = [Mount(f"/runs/{name}", each) for name, each in apps.items()]
    first = f"/runs/{quote(next(iter(apps)))}"
    routes += [Route("/", lambda _: RedirectResponse(f"{first}/"))]
    routes.append(Route("/healthz", lambda _: JSONResponse({"status": "ok"})))
    return Starlette(routes=routes, lifespan=life)


def _add_routes(app: FastAPI, server: Service) -> None:
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

    @app.get("/v1/sessions")
    def keys(most: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Keys:
        """The keys of sequences, as many as are asked for, and how many there are."""
        return Keys(keys=list(islice(sessions.keys(), most)), count=len(sessions.store))

    @app.get("/v1/sessions/{key}", responses={404: {"model": Refusal, "description": "no such sequence"}})
    def session(key: Key) -> Session:
        """A sequence as it stands."""
        if key not in sessions:
            raise RefusedError(404, f"no sequence {key!r}. Push to it.")
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
            raise RefusedError(404, f"no sequence {key!r}.")

    @app.post("/v1/sessions/{key}/fork", status_code=201)
    def fork(key: Key, body: Fork) -> Session:
        """A copy that goes on by itself: what would have been, if."""
        sessions.fork(key, body.to)
        return session(body.to)

    @app.post("/v1/predict")
    def predict(body: Sequences) -> Answers:
        """What the model says of whole sequences."""
        return Answers(answers=server.read(body.sequences))


def _add_tellings(app: FastAPI, server: Service, named: dict[str, Any]) -> None:
    """Of the model, of the server, and the page."""

    @app.get("/v1/model")
    def model() -> dict[str, Any]:
        """What it reads, what it says, and what its state is made of."""
        return about(server.sessions.engine.step) | named

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


def _add_refusals(app: FastAPI, server: Service) -> None:
    def refuse(status: int, text: str, expected: int | None = None) -> JSONResponse:
        server.count_refusal(status)
        headers = {"Retry-After": "1"} if status in (429, 503) else None
        return JSONResponse({"error": text, "expected": expected}, status, headers)

    @app.exception_handler(ElmanError)
    async def mistaken(request: Request, problem: ElmanError) -> JSONResponse:
        if isinstance(problem, OutOfTurnError):
            return refuse(409, str(problem), problem.expected)
        if isinstance(problem, RunError):
            return refuse(503, str(problem))
        return refuse(409 if isinstance(problem, BegunError) else 422, str(problem))

    @app.exception_handler(RefusedError)
    async def refused(request: Request, problem: RefusedError) -> JSONResponse:
        return refuse(problem.status, str(problem))

    @app.exception_handler(BusyError)
    async def busy(request: Request, problem: BusyError) -> JSONResponse:
        return refuse(503, SAID[503])

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, problem: RequestValidationError) -> JSONResponse:
        first, kind = problem.errors()[0], request.headers.get("content-type", "")
        if first["loc"] == ("body",) and not kind.startswith("application/json"):  # curl's own is of a form
            return refuse(422, f"a body must be JSON, got {kind or 'none'}. Send Content-Type: application/json.")
        return refuse(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
