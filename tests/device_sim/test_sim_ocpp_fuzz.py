"""Piles under five seconds of frames that no central system should send: they answer or refuse, and are as good as before."""

from typing import Any

import pytest
from pile_fuzz import stand


async def test_piles_stand_five_seconds_of_strange_frames(run_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert await stand(run_site, caplog, 5, 20_180_305) > 100
