"""The WebSockets of a server: one to push a sequence by, one to watch it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from elman.errors import ElmanError
from elman.live.batcher import BusyError
from elman.live.messages import PushWatched
from elman.live.service import SAID, RefusedError, Service
from elman.live.sessions import OutOfTurnError

TRY_AGAIN = 1013
"""the status that closes a watcher's socket; of the registry that RFC 6455 begins"""


def add_sockets(app: FastAPI, server: Service) -> None:
    """The routes that stay open."""

    @app.websocket("/v1/sessions/{key}/stream")
    async def stream(socket: WebSocket, key: str) -> None:
        """A step in each message, {"x": …, "number": …}, an answer to each; a wrong one is told and stops nothing.

        With "state": true the answer has the state, too: as it is then, for others may push to the sequence; with
        "gates": true what each gate let through.
        """
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await socket.send_json(await _reply(server, key, await socket.receive_text()))

    @app.websocket("/v1/sessions/{key}/watch")
    async def watch(socket: WebSocket, key: str) -> None:
        """Each step that anyone pushes to the sequence, x and what was said, and the state as it is then."""
        await socket.accept()
        with server.watchers.of(key) as messages:
            telling = asyncio.create_task(_tell(socket, messages))
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    await socket.receive_text()  # nothing is expected; this is how one learns that they have gone
            telling.cancel()


async def _tell(socket: WebSocket, messages: asyncio.Queue[dict[str, Any] | None]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # gone meanwhile
        while (message := await messages.get()) is not None:
            await socket.send_json(message)
        await socket.close(TRY_AGAIN, "too slow, or the server ends: watch again")


async def _reply(server: Service, key: str, text: str) -> dict[str, Any]:
    try:
        if len(text) > server.limits.body:
            raise RefusedError(413, f"a message must have at most {server.limits.body} characters.")
        body = PushWatched.model_validate(json.loads(text))
        gates = {"gates": server.gates(key, body.x)} if body.gates else {}  # of the state before the step
        said = (await server.push([key], [body.x], [body.number]))[0].model_dump() | gates
        return said | {"state": server.state(key)} if body.state else said
    except OutOfTurnError as problem:
        return {"error": str(problem), "expected": problem.expected}
    except BusyError:
        return {"error": SAID[503]}
    except (ElmanError, RefusedError) as problem:
        return {"error": str(problem)}
    except (ValueError, RecursionError) as problem:
        return {"error": f"a message must be a step as JSON: {' '.join(str(problem).split())[:200]}"}
