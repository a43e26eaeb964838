"""The groups of rows that the benchmark measures, by name, in the order of a whole run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from offcut import card as cards
from offcut import container
from offcut_build import assets
from offcut_build.bench import int8
from offcut_build.bench.accuracy import accuracy, unseen_photos
from offcut_build.bench.browser import Sites, chromium, sites
from offcut_build.bench.forward import contenders, forwards, profile
from offcut_build.bench.native import natives
from offcut_build.bench.networks import all_ops
from offcut_build.bench.op_table import heading, line, summary, totals
from offcut_build.bench.ops import time_ops
from offcut_build.bench.photos import make_photo, photos
from offcut_build.bench.rows import Row
from offcut_build.bench.sizes import sizes
from offcut_build.bench.visits import visits
from offcut_build.console import say
from offcut_build.tree import Tree

__all__ = ["GROUPS", "Setting", "derived", "setting"]

THREADS = [1, 2]
MEGAPIXELS = (0.26, 1.0, 12.0, 24.0)
SAMPLE = "astronaut.jpg"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a group of rows is measured with."""

    tree: Tree
    browser: Browser
    sites: Sites
    quick: bool
    match: str  # a regular expression of operators' names and networks
    photos: Path | None  # a folder, for accuracy
    failed: list[str] = field(default_factory=list)  # parts of groups, by name

    @property
    def card(self) -> Path:
        """The card of the model that is measured."""
        return self.tree.models / f"{self.tree.project().default_model}.toml"

    @property
    def samples(self) -> list[Path]:
        """Photos that every checkout has."""
        return sorted((self.tree.static / "samples").glob("*.jpg"))

    def model(self) -> container.Model:
        """Return Offcut's model, the card's default variant."""
        card = cards.parse(self.card.read_text(encoding="utf-8"), self.card.name)
        path = self.tree.models / card.variants[card.default].file
        return container.read(path.read_bytes(), path.name)

    def float32(self) -> Path:
        """Return the ONNX file that the model was made of."""
        return assets.ensure(self.tree)["u2netp.onnx"]

    def int8(self) -> dict[str, Path]:
        """Return the peer's 8-bit files, by format."""
        say("quantizing the peer's model, unless that was done before")
        return int8.quantized(
            self.float32(), self.card, self.samples, self.tree.cache / "bench" / "int8"
        )

    def photo(self, megapixels: float) -> Path:
        """Return a JPEG of a size, in the folder that the benchmark's site serves."""
        sample = self.tree.static / "samples" / SAMPLE
        return make_photo(sample, megapixels, self.sites.folder)


def _sizes(s: Setting) -> list[Row]:
    return sizes(s.tree.dist)


def _visits(s: Setting) -> list[Row]:
    rounds = 1 if s.quick else 5
    return visits(s.browser, s.sites, s.tree.dist, s.photo(MEGAPIXELS[0]), rounds=rounds)


def _forward(s: Setting) -> list[Row]:
    files = {}
    for name, path in s.int8().items():
        files[name] = f"bench_int8_{name}.onnx"
        (s.sites.folder / files[name]).write_bytes(path.read_bytes())
    everybody = contenders(files, THREADS)
    return forwards(s.browser, s.sites.bench, everybody, rounds=3 if s.quick else 11)


def _profile(s: Setting) -> list[Row]:
    return profile(s.browser, s.sites.bench, passes=3 if s.quick else 9)


def _native(s: Setting) -> list[Row]:
    rounds = 5 if s.quick else 25
    peers = s.float32(), s.int8()
    return _apart(lambda: natives(s.model(), *peers, threads=THREADS, rounds=rounds))


def _photos(s: Setting) -> list[Row]:
    files = [s.photo(size) for size in MEGAPIXELS[: 2 if s.quick else None]]
    return photos(s.browser, s.sites, files, times=2 if s.quick else 3)


def _accuracy(s: Setting) -> list[Row]:
    if s.photos is None:
        say("accuracy is left out: --photos DIR names a folder of photos")
        return []
    statistics = s.tree.models / f"{s.card.stem}.statistics.safetensors"
    found = unseen_photos(s.photos, statistics)
    peers = s.float32(), s.int8()
    return _apart(lambda: accuracy(s.model(), *peers, found, threads=THREADS[-1]))


def _apart(work: Callable[[], list[Row]]) -> list[Row]:
    """Return what `work` does in a thread: this one has the event loop that drives the browser."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _ops(s: Setting) -> list[Row]:
    wanted = re.compile(s.match or ("u2netp" if s.quick else ""))
    chosen = {
        name: networks
        for name, (_, networks) in all_ops().items()
        if wanted.search(" ".join([name, *networks]))
    }
    ops = [all_ops()[name][0] for name in chosen]
    print(heading())
    timed = []
    rounds = 2 if s.quick else 3
    where = s.browser, s.sites.bench, s.sites.folder
    for done in time_ops(*where, ops, s.failed, rounds=rounds):
        timed.append(done)
        print(line(done), flush=True)
    print(summary(timed))
    rows = [row for done in timed for row in done.rows()]
    return rows + totals(timed, chosen)


Group = Callable[[Setting], list[Row]]
GROUPS: dict[str, Group] = {
    "sizes": _sizes,
    "visits": _visits,
    "forward": _forward,
    "profile": _profile,
    "native": _native,
    "photos": _photos,
    "accuracy": _accuracy,
    "ops": _ops,
}


@contextmanager
def setting(
    tree: Tree, folder: Path, *, quick: bool, match: str, photos: Path | None
) -> Iterator[Setting]:
    """Yield a browser and the sites, in a folder for the run."""
    with chromium() as browser, sites(tree, folder) as served:
        yield Setting(tree, browser, served, quick, match, photos)


def derived(rows: Mapping[str, Row]) -> list[Row]:
    """Return what follows from the rows of several groups."""
    first, threads = rows.get("first_cutout/after_ready"), rows.get("page/threads")
    forward = rows.get(f"forward/threads-{threads.values[0]:.0f}") if threads else None
    if first is None or forward is None:
        return []
    steady = median(forward.values)
    return [Row("first_cutout/beyond_forward", [value - steady for value in first.values])]
