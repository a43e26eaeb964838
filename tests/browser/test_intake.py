"""Photos come in by every door; what cannot be used is refused in words; the next photo works."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import pytest

from tests.browser.app import App

HAND_OVER = """([kind, name, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), c => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));
  const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
  document.querySelector('h1').dispatchEvent(kind === 'paste'
    ? new ClipboardEvent('paste', { bubbles: true, clipboardData: transfer })
    : new DragEvent('drop', options));
}"""


def bomb() -> bytes:
    """Return a PNG of 33 bytes whose header says 200,000 by 200,000."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 200_000, 200_000, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_photo_is_taken_wherever_it_is_dropped_or_pasted(
    app: App, samples: Path, kind: str
) -> None:
    encoded = base64.b64encode((samples / "cat.jpg").read_bytes()).decode()

    app.page.evaluate(HAND_OVER, [kind, "from elsewhere.jpg", encoded])

    assert app.wait("done", "error") == "done", app.describe()
    assert app.download().name == "from elsewhere-offcut.png"


def test_sample_photo_is_one_click_away(app: App) -> None:
    app.page.get_by_alt_text("A cup of coffee").click()

    assert app.wait("done", "error") == "done", app.describe()
    assert app.download().name == "coffee-offcut.png"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.jpg", b"", "empty.jpg is empty"),
        ("letter.pdf", b"%PDF-1.7", "letter.pdf is a PDF, not a photo"),
        ("notes.png", b"only words", "notes.png is not a photo Offcut can read"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        ("bomb.png", bomb(), "bomb.png has 200000 x 200000 pixels, 40000 megapixels; the limit is"),
        ("<b>bold</b>.png", b"words", "<b>bold</b>.png is not a photo"),
    ],
)
def test_what_cannot_be_used_is_told_and_the_next_photo_works(
    app: App, samples: Path, name: str, data: bytes, says: str
) -> None:
    error = app.fail_with((name, data))

    assert says in error
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"
    assert app.error == ""


@pytest.mark.parametrize("share", [0.3, 0.98])
def test_photo_that_is_cut_off_is_damaged(app: App, samples: Path, share: float) -> None:
    data = (samples / "cat.jpg").read_bytes()

    error = app.fail_with(("cat.jpg", data[: int(len(data) * share)]))

    assert "cat.jpg is damaged: it ends before the picture does" in error
    assert "Copy or download it again" in error


def test_photo_damaged_inside_is_refused_by_its_checksum(app: App, samples: Path) -> None:
    from PIL import Image

    from tests.browser.app import encoded

    data = bytearray(encoded(Image.open(samples / "cat.jpg"), "PNG"))
    data[len(data) // 2] ^= 1

    assert "a checksum in it is wrong" in app.fail_with(("cat.png", bytes(data)))


def test_several_photos_come_one_after_another_past_a_broken_one(app: App, samples: Path) -> None:
    app.choose(samples / "cat.jpg", samples / "coffee.jpg")
    app.choose(("broken.jpg", b"words"))

    app.wait("done", "error")
    thumbs = app.page.locator(".strip .thumb")
    states = [thumbs.nth(k).get_attribute("data-photo") for k in range(thumbs.count())]
    assert states == ["done", "done", "error"]
    thumbs.nth(1).click()
    assert app.state == "done"
    assert app.download().name == "coffee-offcut.png"
    thumbs.nth(2).click()
    assert "broken.jpg is not a photo" in app.error


def test_photo_chosen_from_the_strip_is_shown_with_its_own_cutout(app: App, samples: Path) -> None:
    shown = "['.before', '.after'].map(name => document.querySelector(`img${name}`).src)"
    app.choose(samples / "cat.jpg", samples / "coffee.jpg")
    app.wait("done")
    cat = app.page.evaluate(shown)

    app.page.locator(".strip .thumb").nth(1).click()
    coffee = app.page.evaluate(shown)
    app.page.locator(".strip .thumb").nth(0).click()

    assert len({*cat, *coffee}) == 4
    assert app.page.evaluate(shown) == cat


def test_cancel_ends_the_work_and_the_next_photo_works(
    app: App, samples: Path, large_photo: Path
) -> None:
    app.choose(large_photo)
    app.wait("working", seconds=5)

    app.page.get_by_test_id("cancel").click()

    assert app.wait("ready", seconds=1) == "ready"  # at once, whatever the worker does
    assert app.cut_out(samples / "cat.jpg").name == "cat-offcut.png"


def test_cancel_of_a_waiting_photo_lets_the_one_at_work_finish(
    app: App, samples: Path, large_photo: Path
) -> None:
    app.choose(large_photo, samples / "cat.jpg")
    app.page.locator(".strip .thumb").nth(1).click()

    app.page.get_by_test_id("cancel").click()

    assert app.wait("done", "error") == "done"
    assert app.download().name == "coffee-offcut.png"


def test_comparison_follows_keyboard_and_pointer(app: App, samples: Path) -> None:
    app.cut_out(samples / "cat.jpg")
    slider = app.page.get_by_role("slider")
    assert slider.input_value() == "50"

    slider.focus()
    app.page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "48"

    frame = app.page.locator(".frame").bounding_box()
    assert frame
    app.page.mouse.move(frame["x"] + frame["width"] * 0.8, frame["y"] + 50)
    app.page.mouse.down()
    app.page.mouse.move(frame["x"] + frame["width"] * 0.2, frame["y"] + 50)
    app.page.mouse.up()
    assert slider.input_value() == "20"
    assert slider.get_attribute("aria-valuetext") == "20 percent photo"


def test_starting_over_releases_every_object_url(app: App, samples: Path) -> None:
    app.cut_out(samples / "cat.jpg")
    urls = app.page.eval_on_selector_all("img[src^=blob]", "all => all.map(i => i.src)")
    assert urls

    app.start_over()

    alive = """urls => Promise.all(urls.map(url => new Promise(done => {
      const image = new Image();
      image.onload = () => done(true);
      image.onerror = () => done(false);
      image.src = url;
    })))"""
    assert not any(app.page.evaluate(alive, urls))


def test_focus_is_not_lost_when_the_element_that_had_it_goes(app: App, large_photo: Path) -> None:
    where = "document.activeElement.className"
    app.page.get_by_test_id("file-input").focus()

    app.choose(large_photo)
    app.wait_until(lambda: "cancel" in app.page.evaluate(where), "cancel has the focus", 5)

    app.wait("done")
    assert "download" in app.page.evaluate(where)

    app.start_over()
    assert "pick" in app.page.evaluate(where)
