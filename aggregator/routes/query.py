"""What requests are made of: instants, spans, names of facilities and devices, each refused with a clear reason."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import Path, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from aggregator.facility import Facility
from aggregator.routes.guard import Given
from aggregator.routes.problem import Problem, unknown

LATEST_MS: Final = 4_102_444_800_000  # 2100-01-01: beyond it is a mistake in units
_EXPECTED: Final = "UTC milliseconds, or a time with its offset such as 2026-11-21T08:00:00+08:00"


def _instant(value: object, _: ValidationInfo) -> int:
    """UTC ms of a number or an ISO 8601 time with an offset. A bare local time is refused: nobody knows whose it is."""
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and not text.isascii():
        raise PydanticCustomError("expected", _EXPECTED)
    if isinstance(text, str) and text.isdigit():
        number = int(text) if len(text) <= 16 else LATEST_MS + 1
    elif isinstance(text, int) and not isinstance(text, bool):
        number = text
    else:
        try:
            # A "+" that was not encoded arrives as a blank.
            at = datetime.fromisoformat(str(text).replace(" ", "+") if "T" in str(text) else str(text))
        except ValueError as error:
            raise PydanticCustomError("expected", _EXPECTED) from error
        if at.tzinfo is None:
            raise PydanticCustomError("expected", _EXPECTED)
        number = int(at.timestamp() * 1000)
    if not 0 <= number <= LATEST_MS:
        raise PydanticCustomError("expected", "an instant from 1970 to 2100")
    return number


Instant = Annotated[int, BeforeValidator(_instant)]


class Parameters(BaseModel):
    """Query parameters; a name that is not among them is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=False)


class Span(Parameters):
    """Half-open [from, to)."""

    from_ms: Annotated[Instant, Field(alias="from", description=_EXPECTED)]
    to_ms: Annotated[Instant, Field(alias="to", description=_EXPECTED)]

    def checked(self, longest_ms: int | None = None) -> "Span":
        """The same span. Raises Problem where it is empty or longer than `longest_ms`."""
        if self.to_ms <= self.from_ms:
            raise Problem(422, "empty span", "to", f"later than from ({self.from_ms})", self.to_ms)
        if longest_ms is not None and self.to_ms - self.from_ms > longest_ms:
            raise Problem(422, "span too long", "to", f"at most {longest_ms} ms after from", self.to_ms - self.from_ms)
        return self


class Answer(BaseModel):
    """What the API gives: nothing unknown, no NaN, decimals as text."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def facility(given: Given, facility_id: Annotated[str, Path(alias="facility", max_length=64)]) -> Facility:
    """The facility of the path. 404 where there is none."""
    found = given.facilities.get(facility_id)
    if found is None:
        raise unknown("facility", facility_id, list(given.facilities))
    return found


def no_parameters(request: Request) -> None:
    """422 for any query parameter, on paths that take none."""
    if request.query_params:
        name = next(iter(request.query_params))
        raise Problem(422, "bad query", name[:100], "no such key (is it misspelt?)", request.query_params[name])


def device_edge(given: Given, facility_id: str, device: str, edge: str | None) -> str:
    """The edge behind which a device is. 404 where it is unknown, 422 where two edges have one of that name."""
    known = given.live.device_states(facility_id)
    edges = [name for name, other in known if other == device and edge in {None, name}]
    if not edges:
        raise unknown("device", device if edge is None else f"{edge}/{device}", sorted({other for _, other in known}))
    if len(edges) > 1:
        raise Problem(422, "device is not unique", "edge", f"one of {', '.join(edges)}", "nothing")
    return edges[0]
