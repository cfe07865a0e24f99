"""A minute of frames that no central system should send."""

from typing import Any

import pytest
from pile_fuzz import stand


@pytest.mark.long
async def test_piles_stand_a_minute_of_strange_frames(run_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert await stand(run_site, caplog, 60, 20_180_306) > 1000
