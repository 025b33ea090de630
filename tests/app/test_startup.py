"""What the server does once while it comes up."""

import gc

from app.startup import warm_up


def test_what_is_imported_is_left_out_of_the_search_for_rubbish() -> None:
    gc.unfreeze()  # of earlier tests, see conftest
    warm_up()
    assert gc.get_freeze_count() > 10 * len(gc.get_objects())
