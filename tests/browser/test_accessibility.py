"""Every page, dark and light: names, contrast and keyboard as axe-core judges them, without a serious finding."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGES = ("", "labels", "train", "predict", "compare", "get_tiles", "upload", "demo")
TILE = "AOI_2_Vegas_img225"


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_serious_finding(chromium: Browser, site: Site, name: str, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{site.url}/{name}?tile={TILE}")
    ready = expect(page.locator("[data-testid=stApp]"))
    ready.to_have_attribute("data-test-script-state", "notRunning", timeout=60_000)
    page.wait_for_timeout(2500)
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {one['help']} — {'; '.join(node['html'][:200] for node in one['nodes'][:4])}"
        for one in found if one["impact"] in ("serious", "critical")
    ]  # fmt: skip
    context.close()
    assert not serious, "\n".join(serious)
