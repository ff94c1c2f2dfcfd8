"""Is a picture grossly what it was? Compared so small that fonts and their smoothing don't matter.

    screenshot ──> 160 px wide or a third, grey ──> mean difference to references/NAME.png, 0 to 255
                                         below 8: alike        else: the test fails

What moved by some pixels, another number or another font's shapes change a picture by 1 to 3;
a missing panel, colours of the wrong theme or a layout that fell apart by more. A change that was
meant: look at the new picture, and renew its reference with

    EVERCELL_WRITE_REFERENCES=1 python -m pytest tests/browser
"""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

REFERENCES = Path(__file__).parent / "references"
WIDTH = 160
LIMIT = 8.0
"""The mean difference, in 255ths of the way from black to white, from which pictures differ."""


def small(picture: Image.Image, width: int) -> Image.Image:
    """The picture, so many pixels wide and grey; each of its pixels is a mean of many."""
    height = round(picture.height * width / picture.width)
    return picture.convert("L").resize((width, height), Image.Resampling.BOX)


def difference(picture: Image.Image, reference: Image.Image) -> float:
    """The mean difference in grey, 0 to 255; 255 if the picture is of another shape."""
    shown = small(picture, reference.width)
    if shown.size != reference.size:
        return 255.0
    return float(ImageStat.Stat(ImageChops.difference(shown, reference.convert("L"))).mean[0])


def assert_alike(screenshot: Path) -> None:
    """Compare a screenshot with its reference, or make it the reference if that is asked for."""
    reference = REFERENCES / screenshot.name
    if os.environ.get("EVERCELL_WRITE_REFERENCES") == "1":
        REFERENCES.mkdir(exist_ok=True)
        with Image.open(screenshot) as picture:
            width = min(WIDTH, picture.width // 3)
            small(picture, width).quantize(32).save(reference, optimize=True)
        return
    assert reference.exists(), f"{reference} is missing: run with EVERCELL_WRITE_REFERENCES=1"
    with Image.open(screenshot) as picture, Image.open(reference) as expected:
        differs = difference(picture, expected)
    assert differs < LIMIT, f"{screenshot} is unlike {reference}: {differs:.1f}, at most {LIMIT}"
