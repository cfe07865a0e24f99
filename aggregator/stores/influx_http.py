"""Bytes to and answers from an InfluxDB server, in its two dialects, with each fault named ours. Knows nothing of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias
from urllib.parse import quote

import orjson
import urllib3

from aggregator.stores.store import StoreRefused, StoreUnavailable

Dialect: TypeAlias = Literal["v1", "v2"]
_BEYOND_RETENTION: Final = ("beyond retention policy", "outside retention policy")
_SHOWN: Final = 300  # characters of a server's message


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is and how to log in. `org` is for dialect v2 only; `database` is its bucket there."""

    url: str
    database: str
    dialect: Dialect = "v1"
    token: str = ""
    user: str = ""
    org: str = ""
    timeout_s: float = 10.0


class LinesRefused(Exception):
    """The server took some lines of a body and not others; which ones is found by sending parts again."""


class BodyTooLarge(Exception):
    """The server wants smaller bodies (413)."""


class Writer(Protocol):
    """One body in one request. Raises StoreUnavailable, LinesRefused, BodyTooLarge."""

    def write(self, body: bytes) -> None:
        """Durable as far as the server promises when it returns."""

    def close(self) -> None:
        """Let go of connections."""


def judge(server: Server, status: int, message: str) -> None:
    """Nothing for a success, else the error that says what to do about this answer to a write."""
    shown = f"influxdb {server.url}: status {status}: {message[:_SHOWN]}"
    if status in {200, 204}:
        return
    if status == 413:
        raise BodyTooLarge(shown)
    if status in {400, 422}:
        if any(words in message for words in _BEYOND_RETENTION):
            return  # the server's owner has said that these are not to be kept
        raise LinesRefused(shown)
    raise StoreUnavailable(shown)  # 401, 403, 404, 429, 5xx: somebody mends it, then the same body is welcome


class Http:
    """`/query` of any dialect and `/write` of 1.x, over kept connections."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pool = urllib3.PoolManager(
            maxsize=4, retries=False, timeout=urllib3.Timeout(connect=min(5.0, server.timeout_s), read=server.timeout_s)
        )
        self._headers: dict[str, str] = {}
        if server.dialect == "v2":
            self._headers["Authorization"] = f"Token {server.token}"
        elif server.user:
            self._headers |= urllib3.make_headers(basic_auth=f"{server.user}:{server.token}")

    def _request(self, path: str, fields: dict[str, str], body: bytes, kind: str) -> tuple[int, bytes]:
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
        url = f"{self._server.url.rstrip('/')}/{path}?{query}"
        try:
            answer = self._pool.request("POST", url, body=body, headers={**self._headers, "Content-Type": kind})
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailable(f"influxdb {self._server.url}: {error}") from error
        return answer.status, answer.data

    def write(self, body: bytes) -> None:
        """See Writer. A database that does not exist yet is made."""
        fields = {"db": self._server.database, "precision": "ms"}
        status, answer = self._request("write", fields, body, "text/plain; charset=utf-8")
        if status == 404 and b"database not found" in answer:
            self.query([f"CREATE DATABASE {identifier(self._server.database)}"])
            status, answer = self._request("write", fields, body, "text/plain; charset=utf-8")
        judge(self._server, status, _message(answer))

    def query(self, statements: Sequence[str]) -> list[list[dict[str, Any]]]:
        """The series that each InfluxQL statement answers with. Raises StoreUnavailable, StoreRefused."""
        body = f"q={quote(';'.join(statements), safe='')}".encode()
        status, answer = self._request(
            "query", {"db": self._server.database, "epoch": "ms"}, body, "application/x-www-form-urlencoded"
        )
        if status >= 500 or status in {401, 403, 404, 429}:
            raise StoreUnavailable(f"influxdb {self._server.url}: query: status {status}: {_message(answer)[:_SHOWN]}")
        if status != 200:
            raise StoreRefused(f"influxdb {self._server.url}: query: status {status}: {_message(answer)[:_SHOWN]}")
        try:
            results = orjson.loads(answer)["results"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StoreUnavailable(
                f"influxdb {self._server.url}: expected JSON results, got {answer[:_SHOWN]!r}"
            ) from error
        found = []
        for result in results:
            if "error" in result and "database not found" not in result["error"]:
                raise StoreRefused(f"influxdb {self._server.url}: query: {result['error'][:_SHOWN]}")
            found.append(result.get("series", []))
        return found

    def close(self) -> None:
        """Let go of connections."""
        self._pool.clear()


class ClientV2:
    """`/api/v2/write` through influxdb-client, synchronous, with bytes that are ready (its batching writer swallows failures)."""

    def __init__(self, server: Server) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS
        from influxdb_client.domain.write_precision import WritePrecision
        from influxdb_client.rest import ApiException

        self._server = server
        self._error: type[Exception] = ApiException
        self._precision: Any = WritePrecision.MS
        self._client: Any = InfluxDBClient(
            url=server.url, token=server.token, org=server.org or "-", timeout=int(server.timeout_s * 1000)
        )
        self._write: Any = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, body: bytes) -> None:
        """See Writer."""
        try:
            self._write.write(
                bucket=self._server.database, org=self._server.org or "-", record=body, write_precision=self._precision
            )
        except self._error as error:
            status = int(getattr(error, "status", 0) or 0)
            body_text = str(getattr(error, "body", "") or getattr(error, "reason", ""))
            judge(self._server, status, body_text)
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailable(f"influxdb {self._server.url}: {error}") from error

    def close(self) -> None:
        """Let go of connections."""
        self._write.close()
        self._client.close()


def identifier(name: str) -> str:
    """A measurement, field or database in InfluxQL."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def literal(text: str) -> str:
    """A string in InfluxQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _message(answer: bytes) -> str:
    try:
        found = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer.decode("utf-8", "replace").strip()
    if isinstance(found, dict):
        return str(found.get("error") or found.get("message") or found)
    return str(found)
