"""The header reader under the name that web/ imports; it lives in imaging/sniff.py."""

from offcut.imaging.sniff import Header, check_size, check_whole, read_header

__all__ = ["Header", "check_size", "check_whole", "read_header"]
