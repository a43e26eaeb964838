"""The finder of the page's modules, on CPython with a pack of its own."""

from __future__ import annotations

import importlib
import importlib.util
import marshal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from offcut.web import pack_finder
from offcut.web.pack_finder import PackFinder

HEAD = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pack with a package `packed_net` and its module `packed_net.layer`."""
    members = {
        "site-packages/packed_net/__init__.pyc": "from packed_net import layer",
        "site-packages/packed_net/layer.pyc": "width = 7",
        "site-packages/packed_net/data.bin": "",
    }
    data, lines = b"before", []
    for name, source in members.items():
        code = HEAD + marshal.dumps(compile(source, name, "exec"))
        lines.append(f"{name} {len(data)} {len(code)}")
        data += code
    path = tmp_path / "python.pack"
    path.write_bytes(data)
    (tmp_path / "python.pack.index").write_text("\n".join(lines))
    monkeypatch.setattr(pack_finder, "PACK", str(path))
    monkeypatch.setattr(PackFinder, "members", {})
    before = sys.meta_path[:]
    yield path
    sys.meta_path[:] = before
    for name in [name for name in sys.modules if name.startswith("packed_net")]:
        del sys.modules[name]


def test_a_package_of_the_pack_is_imported_without_its_files(pack: Path) -> None:
    pack_finder.install()

    module = importlib.import_module("packed_net")

    assert module.layer.width == 7
    assert str(module.__file__).endswith("site-packages/packed_net/__init__.pyc")
    assert [Path(place).name for place in module.__path__] == ["packed_net"]


def test_only_bytecode_is_a_module(pack: Path) -> None:
    pack_finder.install()

    assert set(PackFinder.members) == {"packed_net", "packed_net.layer"}
    assert PackFinder.find_spec("packed_net.data") is None


def test_without_a_pack_nothing_changes(pack: Path) -> None:
    pack.unlink()
    before = sys.meta_path[:]

    pack_finder.install()

    assert sys.meta_path == before


def test_a_lazy_module_runs_at_the_first_look_and_not_when_it_is_imported_again(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_finder, "LAZY", {"packed_net.layer"})
    pack_finder.install()

    package = importlib.import_module("packed_net")
    layer = importlib.import_module("packed_net.layer")

    assert type(layer) is pack_finder.Waiting
    assert package.layer is layer
    assert layer.width == 7
    assert type(layer) is ModuleType
