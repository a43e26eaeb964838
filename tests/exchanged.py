"""A colour profile like sRGB's with red and blue exchanged: whoever applies it is found out."""

from __future__ import annotations

from struct import pack


def exchanged_profile() -> bytes:
    """Return a matrix profile of version 2, gamma 2.2 (ICC.1:2001-04, section 6.3.1.2)."""

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + pack(">3i", *(round(value * 65536) for value in (x, y, z)))

    red, green = xyz(0.4361, 0.2225, 0.0139), xyz(0.3851, 0.7169, 0.0971)
    blue = xyz(0.1431, 0.0606, 0.7141)
    curve = b"curv\0\0\0\0" + pack(">IHH", 1, round(2.2 * 256), 0)
    text = b"desc\0\0\0\0" + pack(">I", 8) + b"swapped\0" + bytes(78)
    tags = {
        b"desc": text.ljust(-(-len(text) // 4) * 4, b"\0"),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": blue,
        b"gXYZ": green,
        b"bXYZ": red,
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = pack(">I", len(tags)), b""
    at = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + pack(">2I", at + len(body), len(value))
        body += value
    size = at + len(body)
    head = pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(68, b"\0") + pack(">3i", 63190, 65536, 54061)  # the D50 white point
    return head.ljust(128, b"\0") + table + body
