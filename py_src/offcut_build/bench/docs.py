"""docs/performance.md, written from docs/performance.json: every number of it comes from there.

A figure that the run left out is a dash, and a section without figures says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from offcut_build.bench.networks import NETWORKS
from offcut_build.bench.ops import PEER, PRECISIONS
from offcut_build.bench.targets import TARGETS, verdict
from offcut_build.tree import Tree

__all__ = ["FIGURES", "PAGE", "page", "render"]

FIGURES = "docs/performance.json"
PAGE = "docs/performance.md"
Figures = Mapping[str, Any]

HEAD = """# Performance, and how to repeat it

<!-- written by `python3 build.py bench -- --render` from performance.json; edit bench/docs.py -->

    python3 build.py bench                          # all of it; nothing else should run meanwhile
    python3 build.py bench -- --only forward,native # some groups of rows
    python3 build.py bench -- --only ops --match u2netp     # operators by name or network
    python3 build.py bench -- --photos DIR          # accuracy too, on the photos of a folder
    python3 build.py bench -- --json FILE           # the figures as flat JSON
    python3 build.py bench -- --write-docs          # this page and its figures
    offcut bench                                    # the native backends alone, without peers
    offcut bench --backend simd --ops               # where a native pass goes, op by op

The benchmark serves `dist/`, fetches onnxruntime-web from npm and onnxruntime from PyPI, both
pinned by hash, and quantizes the peer's 8-bit model with onnxruntime's own tools. Peers run in turn
with Offcut, round by round, so that a change of the machine's speed meets all alike. A ratio is
Offcut's median over the peer's of the same run; below 1, Offcut is ahead. Times differ from machine
to machine and from minute to minute: quote ratios.
"""

FOOT = """## How to read it

- `forward/...`: U2-Netp at 320x320 on zeros, each contender in a page of its own. A page's first
  pass is not counted; `first` is it. The peer's int8 is the faster of QDQ and QOperator. Before
  each pass is a rest of a quarter of a second, until other pages' threads spin no more.
  `second_look` is a pass in float32 with all that makes the model ready for it.
- `profile/...`: the ops of a pass one by one, by kernel, each from Python.
- `native/...`: the same on CPython with as many threads; onnxruntime's stop spinning between runs.
- `ready/...`: from the navigation's begin, in a window that has drawn itself, to
  `data-state="ready"` by the page's own clock. Cold is
  a fresh profile, warm the third visit. The peer is a page that does nothing but `loadPyodide()`,
  `loadPackage("numpy")` and `import numpy` with Pyodide's published files, from the same server.
  `ready/cold/files` and `ready/cold/python` are when the files were there and when Python was.
- `first_cutout/...`: `cold` and `warm` from the navigation's begin, with a photo of 0.26 megapixels
  chosen as soon as the page is there; `after_ready` from choosing it on a page that has been ready
  for a second, which is less than a person takes;
  `beyond_forward` is that less the median pass.
- `photo/...`: JPEG files through the handler that answers the page, in Chromium, after a warm-up.
  `python_heap` is Python's memory, which never shrinks; `process_peak` is the most memory that the
  page's process had, the browser's own part included.
- `accuracy/...`: the network's map beside onnxruntime's float32 one, on photos not calibrated with.
  `first_look` is without the second look, `second_looks` how many photos have one; `draws`: the
  same with ranges of activations up to 6 % wider, which draws the rounding anew.
- `size/kernels/...`: `kernels.wasm` runs networks on one thread, `kernels-threads.wasm` on several;
  `pictures.wasm`, which decodes models and works on photos, counts in neither.
- `ops/...`: one operator on one thread. The peer repeats it in a Loop, Offcut in its table of ops
  between two other operators, so that neither pays for calls and copies from and to Python or
  JavaScript. Each time is the least of two trials, so that a busy machine favours nobody; there are
  more trips until the peer's take half as long as the call around them. Three rounds; what comes
  within a quarter of the peer's time, either way, is measured anew in fifteen, which alone count.
  Offcut's elementwise operators write over what they read, as in a graph where nothing else reads
  it; the peer's Loop keeps its inputs, to read them again.
  `u8` is how a calibrated model runs, `float32` how one without calibration does.
"""


def render(tree: Tree) -> None:
    """Write the page from the figures in the checkout."""
    figures = json.loads((tree.root / FIGURES).read_text(encoding="utf-8"))
    (tree.root / PAGE).write_text(page(figures), encoding="utf-8")


def page(figures: Figures) -> str:
    """Return the page."""
    sections = [
        _machine,
        _targets,
        _forward,
        _profile,
        _start,
        _photos,
        _sizes,
        _accuracy,
        _operators,
    ]
    parts = [HEAD, *("\n".join(section(figures)) + "\n" for section in sections), FOOT]
    return "\n".join(parts)


def _machine(figures: Figures) -> Iterator[str]:
    about = {key.partition("/")[2]: value for key, value in figures.items() if "machine/" in key}
    yield (
        f"Measured on {about['date']}: {about['processor']}, {about['cores']} cores, "
        f"{about['memory']}, {about['system']}; {about['browser']}, Python {about['python']}, "
        f"onnxruntime-web {about['onnxruntime_web']}, onnxruntime {about['onnxruntime']}."
    )
    if about["load"] != "unknown":
        yield f"\n{about['load']} programs wanted a core just before."
    if about["run"] == "quick":
        yield "\nThis was a quick run: few rounds, small photos, the operators of one network."


def _targets(figures: Figures) -> Iterator[str]:
    yield "## Targets\n"
    rows = []
    for target in TARGETS:
        value = figures.get(target.key)
        word = "not measured" if value is None else verdict(target, value)
        limits = [f"{limit:g} {target.unit}".strip() for limit in (target.least, target.aim)]
        measured = _number(value, target.unit)
        rows.append([target.title, *limits, measured, word])
    yield from _table(["what", "at least", "aim", "measured", ""], rows)


def _forward(figures: Figures) -> Iterator[str]:
    yield "## One pass of the network\n"
    rows = []
    for threads in (1, 2):
        own = f"forward/threads-{threads}"
        rows.append(_timed(figures, f"Offcut, {threads} thread(s)", own))
        for peer in ("float32", "int8"):
            name = f"onnxruntime_web_{peer}"
            title = f"onnxruntime-web {peer}, {threads} thread(s)"
            rows.append(_timed(figures, title, f"{own}/{name}", f"{own}/ratio_to_{name}"))
    for threads in (1, 2):
        own = f"forward/second_look/threads-{threads}"
        rows.append(_timed(figures, f"Offcut's second look, {threads} thread(s)", own))
    for title, own in (
        ("Offcut in float32, 1 thread", "forward/float32/threads-1"),
        ("Offcut's reference backend (numpy)", "forward/reference/threads-1"),
    ):
        ratio = f"{own}/ratio_to_onnxruntime_web_float32"
        rows.append(
            [*_timed(figures, title, own)[:3], f"{_number(figures.get(ratio))} (of float32)"]
        )
    for threads in (1, 2):
        own = f"native/threads-{threads}"
        rows.append(_timed(figures, f"CPython: Offcut, {threads} thread(s)", own))
        for peer in ("onnxruntime_float32", "onnxruntime_int8"):
            title = f"CPython: {peer.replace('_', ' ')}, {threads} thread(s)"
            rows.append(_timed(figures, title, f"{own}/{peer}", f"{own}/ratio_to_{peer}"))
    yield from _table(["who", "min", "median", "Offcut's time over theirs"], rows)


def _profile(figures: Figures) -> Iterator[str]:
    yield "## Where a pass goes, on one thread\n"
    names = dict.fromkeys(k.split("/")[1] for k in figures if k.startswith("profile/"))
    if not names:
        yield "Not measured in this run."
        return
    spent = {name: float(figures[f"profile/{name}/median"]) for name in names}
    rows = []
    for name, milliseconds in spent.items():
        rate = _number(figures.get(f"profile/{name}/rate/median"))
        ops, share = figures[f"profile/{name}/ops/median"], milliseconds / sum(spent.values())
        rows.append([f"`{name}`", f"{ops:.0f}", _number(milliseconds, "ms"), f"{share:.1%}", rate])
    titles = ["kernel", "ops", "median", "share", "GMAC/s as a direct convolution counts"]
    yield from _table(titles, rows)


def _start(figures: Figures) -> Iterator[str]:
    yield "## Start\n"
    rows = []
    for kind in ("cold", "warm"):
        own, peer = f"ready/{kind}", "stock_pyodide"
        rows.append(_timed(figures, f"ready, {kind}", own))
        title = f"Pyodide with numpy, {kind}"
        rows.append(_timed(figures, title, f"{own}/{peer}", f"{own}/ratio_to_{peer}"))
        rows.append(_timed(figures, f"first cutout, {kind}", f"first_cutout/{kind}"))
    rows.append(_timed(figures, "first cutout on a ready page", "first_cutout/after_ready"))
    rows.append(_timed(figures, "the same beyond the pass", "first_cutout/beyond_forward"))
    yield from _table(["what", "min", "median", "Offcut's time over theirs"], rows)
    sent = {k: figures.get(f"first_visit/{k}/median") for k in ("files", "transferred", "gzip")}
    yield (
        f"\nA first visit asks for {_number(sent['files'], 'MB')} of files; the benchmark's server "
        f"sends {_number(sent['transferred'], 'MB')} for them, and a host that compresses with "
        f"gzip would send {_number(sent['gzip'], 'MB')}."
    )


STAGES = ("decode", "preprocess", "inference", "refine", "compose", "encode", "total")
MEMORY = ("python_heap", "kernels_memory", "process_peak")


def _photos(figures: Figures) -> Iterator[str]:
    yield "## Whole photos, in milliseconds\n"
    sizes = dict.fromkeys(k.split("/")[1] for k in figures if k.startswith("photo/"))
    if not sizes:
        yield "Not measured in this run."
    rows = [
        [size.replace("-", " ")]
        + [_number(figures.get(f"photo/{size}/{stage}/median")) for stage in STAGES]
        + [_number(figures.get(f"photo/{size}/{key}/median"), "MB") for key in MEMORY]
        for size in sizes
    ]
    titles = ["photo", *STAGES, "Python's memory", "the kernels'", "the process's peak"]
    yield from _table(titles, rows) if rows else []


def _sizes(figures: Figures) -> Iterator[str]:
    yield "## Sizes\n"
    rows = [
        [f"`{key.removeprefix('size/').removesuffix('/median')}`", _number(value, "kB")]
        for key, value in figures.items()
        if key.startswith("size/") and key.endswith("/median")
    ]
    yield from _table(["what", "kB"], rows)


def _accuracy(figures: Figures) -> Iterator[str]:
    yield "## Accuracy\n"
    if "accuracy/mae_mean/median" not in figures:
        yield "Not measured in this run: `--photos DIR` names the photos."
        return
    rows = []
    for title, name in (
        ("Offcut", "accuracy"),
        ("Offcut, without its second look", "accuracy/first_look"),
        ("onnxruntime int8, QDQ", "accuracy/onnxruntime_int8_qdq"),
        ("onnxruntime int8, QOperator", "accuracy/onnxruntime_int8_qoperator"),
    ):
        keys = ("mae_mean", "mae_worst", "iou_mean", "iou_worst")
        rows.append([title, *(_number(figures.get(f"{name}/{key}/median")) for key in keys)])
    photos = figures["accuracy/mae/count"]
    yield f"Against float32, on {photos} photos that no model was calibrated with.\n"
    yield from _table(["who", "mean difference", "worst", "mean IoU", "worst"], rows)
    if "accuracy/second_looks/median" in figures:
        yield _second_looks(figures)
    if "accuracy/draws/mae_mean/median" in figures:
        yield _draws(figures)


def _second_looks(figures: Figures) -> str:
    return (
        f"\nOf {figures['accuracy/second_looks/median']:.0f} photos the network is unsure: more "
        "than a quarter of what may be the subject has an alpha between 0.25 and 0.75. Offcut "
        "computes these again, all in float32; the table of passes says how long that takes."
    )


def _draws(figures: Figures) -> str:
    mean, worst, least = (
        _number(figures[f"accuracy/draws/{key}"])
        for key in ("mae_mean/median", "iou_worst/median", "iou_worst/min")
    )
    draws = figures["accuracy/draws/mae_mean/count"]
    return (
        "\nHow rounding turns out is partly chance: in "
        f"{draws} models that differ from Offcut's only in ranges of activations that are up to "
        f"6 % wider, at random, the median of the mean difference is {mean}, of the worst IoU "
        f"{worst}, and the least IoU {least}. `docs/training.md` says where rounding matters."
    )


def _operators(figures: Figures) -> Iterator[str]:
    yield "## Operators\n"
    rows = []
    for network in NETWORKS:
        for precision in PRECISIONS:
            own = f"operators/{network}/{precision}"
            if f"{own}/count/median" in figures:
                count, slower = (figures[f"{own}/{key}/median"] for key in ("count", "slower"))
                ratio = _number(figures[f"{own}/ratio/median"])
                rows.append([network, precision, f"{count:.0f}", ratio, f"{slower:.0f}"])
    if not rows:
        yield "Not measured in this run."
        return
    yield "Operators of these networks, on each of their shapes, beside onnxruntime-web float32.\n"
    titles = ["network", "Offcut in", "measured", "median ratio", "slower than the peer"]
    yield from _table(titles, rows)
    for precision in PRECISIONS:
        yield f"\nSlower in {precision}: {_slower(figures, precision)}."


def _slower(figures: Figures, precision: str) -> str:
    """Return the operators that take longer than the peer's, the worst first."""
    end = f"/{precision}/ratio_to_{PEER}"
    found = [
        (value, key.removeprefix("ops/").removesuffix(end))
        for key, value in figures.items()
        if key.startswith("ops/") and key.endswith(end) and value > 1.0
    ]
    listed = [f"`{name}` ({ratio:.2f})" for ratio, name in sorted(found, reverse=True)]
    return ", ".join(listed) or "none"


def _timed(figures: Figures, title: str, name: str, ratio: str = "") -> list[str]:
    """Return a row: title, minimum, median in ms, and Offcut's ratio to it if there is one."""
    low, middle = (_number(figures.get(f"{name}/{key}"), "ms") for key in ("min", "median"))
    return [title, low, middle, _number(figures.get(ratio)) if ratio else ""]


def _number(value: float | None, unit: str = "") -> str:
    """Return three digits or whole numbers, a dash for what was not measured."""
    if value is None:
        return "-"
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in [titles, ["---"] * len(titles), *rows]:
        yield f"| {' | '.join(row)} |"
