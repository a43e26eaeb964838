"""Colours as people write them."""

from __future__ import annotations

from offcut.errors import OffcutError

__all__ = ["NAMES", "Color", "parse_color"]

Color = tuple[int, int, int]  # red, green, blue, 0 to 255

NAMES: dict[str, Color] = {  # the basic names of CSS Color 4, with "grey" and "orange"
    "aqua": (0, 255, 255),
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "fuchsia": (255, 0, 255),
    "gray": (128, 128, 128),
    "green": (0, 128, 0),
    "grey": (128, 128, 128),
    "lime": (0, 255, 0),
    "maroon": (128, 0, 0),
    "navy": (0, 0, 128),
    "olive": (128, 128, 0),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "red": (255, 0, 0),
    "silver": (192, 192, 192),
    "teal": (0, 128, 128),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}


def parse_color(text: str) -> Color:
    """Return the colour that "white", "#f80", "#ff8800" or "255,136,0" names."""
    plain = text.strip().lower()
    if plain in NAMES:
        return NAMES[plain]
    digits = plain.removeprefix("#")
    try:
        if "," in plain:
            values = tuple(int(part) for part in plain.split(","))
        elif len(digits) == 3:
            values = tuple(int(digit * 2, 16) for digit in digits)
        elif len(digits) == 6:
            values = tuple(bytes.fromhex(digits))
        else:
            values = ()
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        names = ", ".join(NAMES)
        remedy = f"write #rrggbb, or three numbers from 0 to 255, or one of {names}"
        raise OffcutError(f"{text!r} is not a colour", remedy=remedy)
    return values[0], values[1], values[2]
