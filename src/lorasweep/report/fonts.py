"""Fonts for scripts that a machine may have none for, bundled with their licences beside them."""

import base64
import functools
from importlib import resources

import vl_convert

FOLDER = resources.files("lorasweep.report") / "fonts"


@functools.cache
def register() -> None:
    """Let the pictures in files be drawn with the bundled fonts."""
    vl_convert.register_font_directory(str(FOLDER))


def style(font: str) -> str:
    """Return the style by which a page holds a bundled font and sets its text in it."""
    if not font:
        return ""
    data = base64.b64encode((FOLDER / f"{font}.ttf").read_bytes()).decode()
    return (
        f'@font-face {{ font-family: "{font}"; font-weight: 100 900; '
        f'src: url("data:font/ttf;base64,{data}"); }}\n'
        f':root {{ --sans: "{font}", system-ui, sans-serif; }}\n'
    )
