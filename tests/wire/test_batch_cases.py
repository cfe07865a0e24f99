"""Every fault of tests/cases/batch as the decoder sees it: one error that names place, what was expected and what was seen."""

import pytest
from faulty_batch import TOPIC, Case, cases

from wire.batch import BatchUnreadable, KeyUnknown, SignatureForged, unseal
from wire.keys import SigningKey

KEY = SigningKey.generate()
ERRORS = {"unreadable": BatchUnreadable, "forged": SignatureForged, "unknown_key": KeyUnknown}


@pytest.mark.parametrize("case", [case for case in cases() if case.decoder != "reads"], ids=lambda case: case.name)
def test_a_faulty_batch_gives_one_error_that_says_what_is_wrong(case: Case) -> None:
    with pytest.raises(ERRORS[case.decoder]) as raised:
        unseal(case.frame_of(KEY), TOPIC, lambda key_id: KEY.public if key_id == KEY.key_id else None)
    assert type(raised.value) is ERRORS[case.decoder]
    assert case.expect in str(raised.value)
    assert len(str(raised.value)) < 300, "a message for people, however long the batch"


@pytest.mark.parametrize("case", [case for case in cases() if case.decoder == "reads"], ids=lambda case: case.name)
def test_what_only_a_row_or_a_name_makes_faulty_is_read_whole(case: Case) -> None:
    batch = unseal(case.frame_of(KEY), TOPIC, lambda key_id: KEY.public if key_id == KEY.key_id else None)
    assert batch.signed


def test_there_are_at_least_twenty_kinds_of_faulty_batches() -> None:
    assert len(cases()) >= 20
