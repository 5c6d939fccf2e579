"""Sequences in Redis, for several servers that answer for the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from elman.errors import MissingExtraError, RunError
from elman.live.store import Kept, MovedError, SQLiteStore, Store

SCHEMES = ("redis://", "rediss://", "unix://")

# All or none, and none where another server was quicker: Redis runs a script alone.
WRITE = """
for i = 2, #KEYS do
    if ARGV[4 * i - 7] ~= '' and (redis.call('HGET', KEYS[i], 'steps') or '0') ~= ARGV[4 * i - 7] then return 0 end
end
for i = 2, #KEYS do
    redis.call('HSET', KEYS[i], 'steps', ARGV[4 * i - 6], 'state', ARGV[4 * i - 5], 'answer', ARGV[4 * i - 4])
    redis.call('SADD', KEYS[1], string.sub(KEYS[i], #KEYS[1] + 2))
end
return 1
"""


def open_store(given: Store | Path | str | None, model: str) -> Store:
    """A store by its address or its file; None: in memory, gone with the process."""
    if isinstance(given, str) and given.startswith(SCHEMES):
        return RedisStore(given, model)
    return SQLiteStore(given, model) if given is None or isinstance(given, (str, Path)) else given


class RedisStore:
    """Sequences in a Redis server, a hash each, under the model's fingerprint.

    url    redis://host:port/number, as `redis.Redis.from_url` takes it
    model  fingerprint of the model: others have their own sequences there

    How long a sequence is kept, and whether Redis writes to a disk, is set in Redis. Raises `MissingExtraError` without
    the package, `RunError` where the server does not answer.
    """

    def __init__(self, url: str, model: str) -> None:
        try:
            import redis
        except ImportError:
            raise MissingExtraError("RedisStore: needs redis. pip install 'elman[redis]'") from None
        self.url, self.model = url, model
        self._problems = (redis.RedisError, OSError)
        self._all = f"elman:{{{model}}}"  # in braces: one part of a cluster has them all, which the script needs
        try:
            self._redis: Any = redis.Redis.from_url(url)
            self._script = self._redis.register_script(WRITE)
            self._redis.ping()
        except (*self._problems, ValueError) as problem:
            raise self._failed(problem) from None

    def read(self, keys: Iterable[str]) -> dict[str, Kept]:
        """Those that are there."""
        wanted = list(keys)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for key in wanted:
                    pipe.hmget(self._at(key), "steps", "state", "answer")
                found = pipe.execute()
        except self._problems as problem:
            raise self._failed(problem) from None
        return {
            key: Kept(int(steps), state, answer)
            for key, (steps, state, answer) in zip(wanted, found, strict=True)
            if steps is not None
        }

    def write(self, kept: Mapping[str, Kept]) -> None:
        """All of them at once."""
        self._write(kept, {})

    def exchange(self, kept: Mapping[str, Kept], before: Mapping[str, int]) -> None:
        """All of them at once, if each is where it was; raises `MovedError` otherwise."""
        if not self._write(kept, before):
            raise MovedError(f"{self.url}: another server has pushed to the same sequence. Push again.")

    def _write(self, kept: Mapping[str, Kept], before: Mapping[str, int]) -> bool:
        given = [
            number for key, one in kept.items() for number in (before.get(key, ""), one.steps, one.state, one.answer)
        ]
        try:
            return bool(self._script([self._all, *map(self._at, kept)], given))
        except self._problems as problem:
            raise self._failed(problem) from None

    def delete(self, key: str) -> bool:
        """Whether it was there."""
        try:
            with self._redis.pipeline() as pipe:
                pipe.delete(self._at(key)).srem(self._all, key)
                return bool(pipe.execute()[0])
        except self._problems as problem:
            raise self._failed(problem) from None

    def keys(self) -> Iterator[str]:
        """All keys, sorted."""
        try:
            return iter(sorted(key.decode() for key in self._redis.smembers(self._all)))
        except self._problems as problem:
            raise self._failed(problem) from None

    def __len__(self) -> int:
        try:
            return self._redis.scard(self._all)
        except self._problems as problem:
            raise self._failed(problem) from None

    def close(self) -> None:
        """Lets go of the connection."""
        self._redis.close()

    def _at(self, key: str) -> str:
        return f"{self._all}:{key}"

    def _failed(self, problem: Exception) -> RunError:
        said = " ".join(str(problem).split())[:200]
        return RunError(f"{self.url}: no Redis that can be used ({said}). Start it, or name another store.")
