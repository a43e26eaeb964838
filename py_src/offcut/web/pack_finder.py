"""Finds the modules of start/modules.pack by their names alone, without a look into folders.

app/boot.js unpacks the pack into Python's library folder, so that all of Python works as it always
does. It also writes the pack itself, and where each member lies in it:

    /lib/python.pack        the zip file
    /lib/python.pack.index  a line for each member: path below the library folder, offset, size

The build puts this module into the pack as `sitecustomize` too, which Python imports as it starts.
From then on an import of a member costs one read, where the path's finders ask every folder of
sys.path first. On CPython nothing happens.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, SourcelessFileLoader
from types import ModuleType

__all__ = ["PackFinder", "forget", "install"]

PACK = "/lib/python.pack"
LIBRARY = f"/lib/python{sys.version_info.major}.{sys.version_info.minor}"
SITE = "site-packages/"
ENDING = ".pyc"
# What is imported at the start and then hardly used: run at the first look at one of its names.
LAZY = {"ctypes", "inspect", "pickle", "random", "shutil", "ssl", "subprocess", "tempfile"}
LAZY |= {"tomllib", "traceback", "numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars"}


class PackFinder(SourcelessFileLoader):
    """Loads one module; the class itself is the finder for sys.meta_path."""

    members: dict[str, tuple[str, int, int]] = {}  # noqa: RUF012  # module -> path, offset, size
    file: int = -1  # descriptor of the pack

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return where the pack has the module `name`, if it has it."""
        found = cls.members.get(name)
        if found is None:
            return None
        origin = f"{LIBRARY}/{found[0]}"
        folder, _, last = origin.rpartition("/")
        package = last == f"__init__{ENDING}"
        spec = ModuleSpec(name, cls(name, origin), origin=origin, is_package=package)
        spec.has_location = True
        if package and spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(folder)
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, or let it wait."""
        if self.name in LAZY:
            module.__class__ = Waiting
        else:
            super().exec_module(module)

    def get_data(self, path: str) -> bytes:
        """Return the bytes of the module, or of another file."""
        found = self.members.get(self.name)
        if found is None or path != self.path:
            return super().get_data(path)
        return os.pread(self.file, found[2], found[1])


class Waiting(ModuleType):
    """A module that runs at the first look at one of its names; importing it again is none."""

    def __getattribute__(self, name: str) -> object:
        """Return the module's `name`, which is there once it has run."""
        spec = super().__getattribute__("__spec__")
        if name == "__spec__":  # which every import asks for
            return spec
        self.__class__ = ModuleType  # type: ignore[assignment]  # so that this happens once
        SourcelessFileLoader.exec_module(spec.loader, self)
        return getattr(self, name)


def install() -> None:
    """Find the pack's modules this way from now on, if the page has a pack."""
    try:
        with open(f"{PACK}.index", encoding="utf-8") as index:
            lines = index.read().splitlines()
        PackFinder.file = os.open(PACK, os.O_RDONLY)
    except OSError:
        return
    for line in lines:
        path, offset, size = line.rsplit(" ", 2)
        if path.endswith(ENDING):
            name = path.removeprefix(SITE).removesuffix(ENDING).replace("/", ".")
            PackFinder.members[name.removesuffix(".__init__")] = path, int(offset), int(size)
    sys.meta_path.insert(0, PackFinder)


def forget() -> None:
    """Leave what is still to be imported to the other finders: the pack will not be there."""
    for finder in list(sys.meta_path):
        if getattr(finder, "__name__", "") == PackFinder.__name__:  # sitecustomize's
            sys.meta_path.remove(finder)
            os.close(getattr(finder, "file"))  # noqa: B009  # of a class of the same source
            getattr(finder, "members").clear()  # noqa: B009


if __name__ == "sitecustomize":
    install()
