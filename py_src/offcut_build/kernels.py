"""Compile the SIMD kernels to WebAssembly: .cache/kernels/*, which dist/ ships as kernels/*.

The compiler is clang in the Python package `ziglang` (dependency group `kernels`). The same
sources give the same bytes. kernels.wasm runs networks; kernels-threads.wasm does so in a memory
that several workers share; pictures.wasm decodes models and works on photos before and after.
"""

from __future__ import annotations

from pathlib import Path

from offcut_build import stamp, venv
from offcut_build.command import capture
from offcut_build.console import megabytes, say
from offcut_build.tree import Tree

__all__ = ["OUTPUTS", "build", "compile_one"]

SECONDS = 600.0
# -Os: hot loops unroll and inline by their own words; everything else is to be small. -Oz, which
# `zig cc` takes for -Os, makes files smaller, but slower or even larger those of LOOPS.
FLAGS = ["-std=c11", "-Os", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-ffp-contract=off", "-fno-math-errno", "-fno-sanitize=undefined"]
FLAGS += ["-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops"]  # kernels say where to
FLAGS += ["-mllvm", "-disable-lsr"]  # it takes constant offsets out of loads and stores: more code
SMALLEST = ["-Xclang", "-Oz"]
LOOPS = {"conv_float_pixel", "conv_float_winograd", "conv_winograd", "epilogue", "gemm", "program"}
LOOPS |= {"blocks", "deflate", "guided", "image", "png", "spread", "unmix"}
LINK = ["--no-entry", "-s", "--import-memory", "-z", "stack-size=65536"]
LINK += ["--export=__heap_base", "--export=__stack_pointer"]
LINK += ["--compress-relocations"]  # numbers as short as they are; `zig cc` does not know the word
FEATURES = "generic+simd128+bulk_memory+nontrapping_fptoint+sign_ext+mutable_globals"
MOST_MEMORY = 512 << 20  # a shared memory must name its limit; browsers reserve that much address
SHARED = ["--shared-memory", f"--max-memory={MOST_MEMORY}"]
OUTPUTS: dict[str, tuple[list[str], list[str]]] = {  # in dist/kernels/ -> flags, linker's own flags
    "kernels.wasm": ([f"-mcpu={FEATURES}", "-DWITHOUT_PICTURES"], []),
    "kernels-threads.wasm": ([f"-mcpu={FEATURES}+atomics", "-DWITHOUT_PICTURES"], SHARED),
    "pictures.wasm": ([f"-mcpu={FEATURES}", "-DWITHOUT_NETWORKS"], []),
}


def build(tree: Tree) -> None:
    """Compile what has changed."""
    backend = tree.package / "backends" / "simd"
    venv.setup(tree, "kernels")
    sources = sorted((backend / "kernels").glob("*.c"))
    options = [FLAGS, SMALLEST, sorted(LOOPS), LINK, OUTPUTS]
    key = stamp.fingerprint([backend / "kernels"], also=options)
    there = all((tree.kernels / name).exists() for name in OUTPUTS)
    if there and stamp.read(tree, "kernels").get("key") == key:
        return
    for name in OUTPUTS:
        out = tree.cache / "kernels.part" / name
        compile_one(name, python=tree.python, root=tree.root, sources=sources, out=out)
        stamp.put(tree.kernels / name, out.read_bytes())
        say(f"kernels/{name}: {megabytes(out.stat().st_size)}")
    stamp.write(tree, "kernels", {"key": key})


def compile_one(name: str, *, python: Path, root: Path, sources: list[Path], out: Path) -> None:
    """Compile one of OUTPUTS to the file `out`, with the ziglang of the interpreter `python`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    flags, own = OUTPUTS[name]
    zig = [str(python), "-m", "ziglang"]
    compiler = [*zig, "cc", "-target", "wasm32-freestanding", *flags, *FLAGS, "-c"]
    objects = []
    for source in sources:
        objects.append(str(out.with_name(f"{out.stem}-{source.stem}.o")))
        size = [] if source.stem in LOOPS else SMALLEST
        one = [*size, str(source.relative_to(root)), "-o", objects[-1]]
        capture([*compiler, *one], where=root, seconds=SECONDS)
    link = [*zig, "wasm-ld", *own, *LINK, *objects, "-o", str(out)]
    capture(link, where=root, seconds=SECONDS)
