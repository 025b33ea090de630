"""Addresses of version 0.6.2: bookmarks lead to the state they led to, and the map's routes answer as they did."""

import json
from collections import Counter
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.routes import ROUTES
from tests.compatibility.conftest import stored
from tests.conftest import ROOT

ADDRESSES = stored("addresses.json")


def name_of(bookmark: dict) -> str:
    return "&".join([bookmark["page"], *(f"{key}={value}" for key, value in bookmark["query"].items())])


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("bookmark", ADDRESSES["bookmarks"], ids=name_of)
def test_a_bookmark_leads_to_the_same_state(bookmark, expected):
    query = bookmark["query"]
    test = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    for key, value in query.items():
        test.query_params[key] = value
    test.switch_page(f"app/pages/{bookmark['page']}.py")
    test.run()
    assert not test.exception
    # The address goes on to say what was chosen by it.
    then, now = bookmark["address"], dict(test.query_params)
    assert {key: now.get(key) for key in query} == {key: then[key] for key in query}
    chosen = {*query.values(), *expected["tiles"]} & set(map(str, bookmark["boxes"]))
    assert chosen <= {str(box.value) for box in test.selectbox}
    if "bands" in query:
        shown = query["bands"].replace("-", ",")
        assert any(f"bands={shown}" in unquote(frame.proto.json_args) for frame in test.get("component_instance"))
    if "demo" in query:
        assert [bar.proto.value for bar in test.get("progress")][:1] == bookmark["progress"][:1]


@pytest.fixture(scope="module")
def server(data) -> TestClient:
    return TestClient(Starlette(routes=ROUTES))


@pytest.mark.parametrize("then", ADDRESSES["routes"], ids=lambda row: row["url"])
def test_a_route_answers_as_it_did(then, server):
    answer = server.get(then["url"])
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (then["status"], then["type"])
    if "features" in then:
        rows = [feature["properties"] for feature in json.loads(answer.content)["features"]]
        assert len(rows) == then["features"]
        assert sorted({key for row in rows for key in row}) == then["keys"]
        assert Counter(row.get("verdict", "") for row in rows) == then["verdicts"]
