"""Take the README's picture of a report's page: `python docs/make_pictures.py out/quickstart`.

It needs a finished study, Debian's Chromium, and Playwright from the development extras.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from lorasweep.report.page import write_report

PICTURE = Path(__file__).parent / "pictures" / "page.png"
SIZE = {"width": 1280, "height": 860}


def take(out: Path) -> None:
    """Write the report of a finished study anew, and a picture of the top of its page."""
    page_file, program = write_report(out), shutil.which("chromium")
    PICTURE.parent.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.goto(page_file.absolute().as_uri())
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
