"""One request to a running aggregator, with its own words where it refuses. Not what is asked."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

TIMEOUT_S: Final = 600.0


def ask(
    url: str,
    path: str,
    environment: Mapping[str, str],
    *,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    csv: bytes | None = None,
) -> Any:
    """The answer's JSON: a GET, or a POST where there is a body or a CSV file. Raises ValueError for a bad address, OSError."""
    return json.loads(fetch(url, path, environment, query=query, body=body, csv=csv))


def fetch(
    url: str,
    path: str,
    environment: Mapping[str, str],
    *,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    csv: bytes | None = None,
) -> bytes:
    """The answer's bytes; else like `ask`."""
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"--url: expected http://HOST:PORT or https://, got {url!r}")
    token = environment.get("WATTLINE_TOKEN", "")
    headers = {"x-wattline-write": "1", **({"authorization": f"Bearer {token}"} if token else {})}
    sent = csv if body is None else json.dumps(body).encode()
    if sent is not None:
        headers["content-type"] = "text/csv" if body is None else "application/json"
    address = f"{url.rstrip('/')}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    request = urllib.request.Request(address, data=sent, headers=headers)  # noqa: S310 the scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            raw: bytes = answer.read()
            return raw
    except urllib.error.HTTPError as error:
        raise OSError(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:500]}") from error
    except urllib.error.URLError as error:
        raise OSError(f"{url}: expected an aggregator that answers, got: {error.reason}") from error
