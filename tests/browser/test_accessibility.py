"""Every page, dark and light: names, contrast and keyboard as axe-core judges them, without a serious finding."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGES = ("", "labels", "train", "predict", "compare", "get_tiles", "upload", "demo")
TILE = "AOI_2_Vegas_img225"
#: Nothing is computed any more, and what was out of date is drawn anew, no longer faded.
_SETTLED = """() => document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
  && !document.querySelector("[data-stale=true], [data-testid=stSpinner], [data-testid=stSkeleton]")
  && document.getAnimations().every(one => one.playState !== "running")"""


def _said(node: dict[str, Any]) -> str:
    colours = [check["data"] for check in node["any"] if isinstance(check.get("data"), dict)]
    facts = {name: colours[0].get(name) for name in ("fgColor", "bgColor", "contrastRatio")} if colours else ""
    return f"{node['html'][:160]} {facts}"


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_serious_finding(chromium: Browser, site: Site, name: str, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{site.url}/{name}?tile={TILE}")
    page.wait_for_timeout(2500)
    page.wait_for_function(_SETTLED, timeout=60_000)
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {one['help']} — {'; '.join(_said(node) for node in one['nodes'][:4])}"
        for one in found if one["impact"] in ("serious", "critical")
    ]  # fmt: skip
    context.close()
    assert not serious, "\n".join(serious)
