"""How large a photo this device may be given, by the memory that its browser admits to.

A photo of n pixels takes some 16 n bytes here at its most. Chromium tells the gigabytes, rounded;
Firefox and Safari do not, so that only phones and tablets count as small there, by their name.
"""

from __future__ import annotations

from offcut.imaging.sniff import MAX_PIXELS

__all__ = ["pixel_limit"]

TIERS = ((1.0, 12_000_000), (2.0, 24_000_000))  # up to so many gigabytes, so many pixels
UNKNOWN_HAND_HELD = 24_000_000
HAND_HELD = ("Mobile", "Android", "iPhone", "iPad")


def pixel_limit(gigabytes: float | None, agent: str) -> int:
    """Return the most pixels of a photo. gigabytes: navigator.deviceMemory; agent: userAgent."""
    if gigabytes is None:
        return UNKNOWN_HAND_HELD if any(name in agent for name in HAND_HELD) else MAX_PIXELS
    return next((limit for most, limit in TIERS if gigabytes <= most), MAX_PIXELS)
