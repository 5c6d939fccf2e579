"""What stands before the server: who may ask, how much, and how often."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse

CLIENTS = 10_000
"""addresses whose rate is remembered"""
OPEN = ("/healthz", "/", "/page/")


@dataclass(frozen=True)
class Limits:
    """How much a server takes.

    body      bytes of a request
    steps     of one request
    sessions  sequences in the store
    waiting   steps that wait for the model
    rate      requests of one address in a second; as many again at once
    """

    body: int = 1_000_000
    steps: int = 10_000
    sessions: int = 1_000_000
    waiting: int = 100_000
    rate: float = 1000.0


class Guard:
    """ASGI middleware: refuses what is too large, too often, or without the token.

    token  what `Authorization: Bearer …` must say; None: anyone may ask
    count  called with the status of each refusal
    """

    def __init__(self, app: Any, limits: Limits, token: str | None, count: Callable[[int], None]) -> None:
        self.app, self.limits, self.token, self.count = app, limits, token, count
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes a request on, or answers it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self.count(refusal[0])
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal[1][:120]})
            else:
                await _answer(*refusal)(scope, receive, send)
            return
        await self._bounded(scope, receive, send)

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not self._may(headers, scope) and not (path in OPEN or path.startswith(OPEN[-1])):
            return 401, "a token is needed: send the header Authorization: Bearer TOKEN."
        if not self._in_time(scope["client"][0] if scope.get("client") else ""):
            return 429, f"at most {self.limits.rate:g} requests a second, got more. Ask again in a second."
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.limits.body:
            return self._too_large(int(length))
        return None

    def _too_large(self, got: object) -> tuple[int, str]:
        return 413, f"a request must have at most {self.limits.body} bytes, got {got}. Send it in parts."

    def _may(self, headers: dict[bytes, bytes], scope: Any) -> bool:
        if self.token is None:
            return True
        given = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
        if scope["type"] == "websocket" and not given:  # a browser cannot send headers there
            given = (parse_qs(scope["query_string"].decode("latin-1")).get("token") or [""])[0]
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _in_time(self, client: str) -> bool:
        """A bucket of tokens for each address, which fills by time."""
        now, rate = time.monotonic(), self.limits.rate
        left, since = self._seen.pop(client, (rate, now))
        left = min(rate, left + (now - since) * rate)
        self._seen[client] = (left - 1 if left >= 1 else left, now)
        if len(self._seen) > CLIENTS:
            self._seen.popitem(last=False)
        return left >= 1

    async def _bounded(self, scope: Any, receive: Any, send: Any) -> None:
        """Reads a body that comes without a length before it goes on, as far as it may be."""
        messages: list[Any] = []
        size, more = 0, scope["type"] == "http" and b"content-length" not in dict(scope["headers"])
        while more and size <= self.limits.body:
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
            more = messages[-1].get("more_body", False)
        if size > self.limits.body:
            self.count(413)
            await _answer(*self._too_large("more"))(scope, receive, send)
            return
        waiting = iter(messages)

        async def again() -> Any:
            message = next(waiting, None)
            return await receive() if message is None else message

        await self.app(scope, again, send)


def _answer(status: int, text: str) -> JSONResponse:
    retry = {"Retry-After": "1"} if status == 429 else {}
    challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": text}, status, headers=retry | challenge)
