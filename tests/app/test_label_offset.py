"""The arrows that move labels by metres."""

import pytest
from streamlit.testing.v1 import AppTest

from core.catalog.register import set_label_offset
from core.catalog.store import Catalog, read_catalog


def show() -> None:
    from app.components.catalog.label_offset import label_offset
    from core.catalog.store import read_catalog

    label_offset(read_catalog().tiles[0])


def unlabelled() -> None:
    from app.components.catalog.label_offset import label_offset
    from core.catalog.store import read_catalog

    label_offset(read_catalog().tiles[2])


@pytest.fixture
def nudge(city: Catalog) -> AppTest:
    return AppTest.from_function(show, default_timeout=30).run()


def press(nudge: AppTest, key: str) -> tuple[float, float]:
    nudge.button(key=f"nudge {key}").click().run()
    assert not nudge.exception
    return read_catalog().tiles[0].offset_m


def test_arrows_move_by_the_step(nudge: AppTest) -> None:
    assert nudge.caption[0].value == "No offset"
    assert press(nudge, "east") == (0.5, 0.0)
    assert press(nudge, "north") == (0.5, 0.5)
    nudge.segmented_control[0].set_value(5.0).run()
    assert press(nudge, "west") == (-4.5, 0.5)
    assert press(nudge, "south") == (-4.5, -4.5)
    nudge.segmented_control[0].set_value(0.25).run()
    assert press(nudge, "north") == (-4.5, -4.25)
    said = nudge.caption[0].value.replace("\u2009", " ")
    assert said == "Offset: 4.5 m west, 4.25 m south"


def test_undo_takes_back_one_step_at_a_time(nudge: AppTest) -> None:
    assert nudge.button(key="nudge undo").disabled
    press(nudge, "east")
    press(nudge, "north")
    assert press(nudge, "undo") == (0.5, 0.0)
    assert press(nudge, "undo") == (0.0, 0.0)
    assert nudge.button(key="nudge undo").disabled


def test_the_way_back_to_the_file_can_be_undone_too(nudge: AppTest) -> None:
    assert nudge.button(key="nudge back").disabled
    press(nudge, "east")
    assert press(nudge, "back") == (0.0, 0.0)
    assert press(nudge, "undo") == (0.5, 0.0)


@pytest.mark.usefixtures("city")
def test_a_tile_without_labels_has_no_arrows() -> None:
    page = AppTest.from_function(unlabelled, default_timeout=30).run()
    assert not page.exception
    assert list(page.button) == []


def test_no_arrow_leads_further_than_a_hundred_metres(nudge: AppTest) -> None:
    set_label_offset(read_catalog().tiles[0].id, 99.0, 0.0)
    nudge.run()
    assert not nudge.button(key="nudge east").disabled
    nudge.segmented_control[0].set_value(5.0).run()
    assert nudge.button(key="nudge east").disabled
    assert not nudge.button(key="nudge west").disabled


def test_labels_that_cannot_be_moved_are_a_sentence(nudge: AppTest) -> None:
    read_catalog().tiles[0].labels.unlink()
    nudge.button(key="nudge east").click().run()
    assert not nudge.exception
    assert nudge.error
