"""The demo: six steps without typing, that can be left and taken up again."""

import pytest

from tests.app.conftest import OpenPage
from tests.app.test_pages import html
from tests.core.fake_predictions import TILES, made


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as both:
        yield both


def press(page, label):
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def test_six_steps_lead_to_a_scored_overlay_and_a_file(open_page: OpenPage) -> None:
    page = open_page("demo", tile=TILES[0])
    seen = []
    for step in range(6):
        assert not page.exception
        assert page.query_params.get("demo", ["1"]) in (["1"], [str(step + 1)], str(step + 1))
        seen.append(page.subheader[0].value)
        if step < 5:
            press(page, "Next")
    assert len(set(seen)) == 6
    assert not page.text_input
    assert not page.number_input
    press(page, "Back")
    assert "Correct (TP)" in html(page)


@pytest.mark.parametrize(("asked", "title"), [("4", "Detection"), ("99", "Export"), ("x", "Imagery")])
def test_it_is_taken_up_again_where_the_address_says(open_page: OpenPage, asked: str, title: str) -> None:
    page = open_page("demo", tile=TILES[0], demo=asked)
    assert not page.exception
    assert page.subheader[0].value == title
