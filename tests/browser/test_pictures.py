"""What the comparison of pictures sees, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from browser import pictures

if TYPE_CHECKING:
    from pathlib import Path


def page(*, dark: bool = False, panel: bool = True) -> Image.Image:
    """Lines of text with a panel beside them."""
    ground, ink, soft = ("#111", "#eee", "#333") if dark else ("#fff", "#222", "#ccc")
    picture = Image.new("RGB", (1000, 760), ground)
    draw = ImageDraw.Draw(picture)
    if panel:
        draw.rectangle((0, 0, 300, 760), fill=soft)
    for line in range(30):
        draw.text((20, 20 + line * 24), f"{line} asked, answered, restored " * 5, fill=ink)
    return picture


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A screenshot that was made the reference of its name."""
    monkeypatch.setattr(pictures, "REFERENCES", tmp_path / "references")
    monkeypatch.setenv("EVERCELL_WRITE_REFERENCES", "1")
    shot = tmp_path / "page.png"
    page().save(shot)
    pictures.assert_alike(shot)
    monkeypatch.delenv("EVERCELL_WRITE_REFERENCES")
    return shot


def test_smoothing_and_moves_by_a_pixel_are_alike(reference: Path) -> None:
    for shown in (
        page(),
        page().filter(ImageFilter.GaussianBlur(1)),
        ImageChops.offset(page(), 1, 1),
        page().resize((1500, 1140)),
    ):
        shown.save(reference)
        pictures.assert_alike(reference)


@pytest.mark.parametrize(
    "shown",
    [page(dark=True), page(panel=False), Image.new("RGB", (1000, 760), "#fff"),
     page().crop((0, 0, 1000, 500))],
    ids=["dark", "no panel", "blank", "cropped"],
)  # fmt: skip
def test_gross_changes_are_seen(reference: Path, shown: Image.Image) -> None:
    shown.save(reference)
    with pytest.raises(AssertionError, match="unlike"):
        pictures.assert_alike(reference)


def test_a_missing_reference_is_said(reference: Path) -> None:
    page().save(reference.with_name("new.png"))
    with pytest.raises(AssertionError, match="EVERCELL_WRITE_REFERENCES=1"):
        pictures.assert_alike(reference.with_name("new.png"))
