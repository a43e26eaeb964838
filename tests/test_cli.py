"""The command line, run as a process: results, names, errors and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offcut.cli import COMMANDS
from tests import tiny
from tests.corpus import unusual


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the tiny model and a photo, where commands run."""
    (tmp_path / "models").mkdir()
    tiny.write(tmp_path / "models")
    Image.fromarray(tiny.photo()).save(tmp_path / "box.png")
    return tmp_path


def offcut(
    folder: Path, *arguments: str, given: bytes = b"", check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    env = os.environ | {"OFFCUT_MODELS": str(folder / "models")}
    call = [sys.executable, "-m", "offcut", *arguments]
    done = subprocess.run(call, cwd=folder, env=env, input=given, capture_output=True)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done


def alpha_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)[..., 3]


RED = ("--model", "red", "--backend", "reference")


def test_remove_writes_beside_the_photo(folder: Path) -> None:
    offcut(folder, "remove", "box.png", *RED)
    alpha = alpha_of(folder / "box-offcut.png")
    assert alpha.shape == (60, 80) and alpha[30, 40] == 255 and alpha[0, 0] == 0


def test_remove_reads_and_writes_standard_streams(folder: Path) -> None:
    done = offcut(folder, "remove", "-", *RED, given=(folder / "box.png").read_bytes())
    (folder / "piped.png").write_bytes(done.stdout)
    assert alpha_of(folder / "piped.png")[30, 40] == 255


def test_remove_keeps_the_folders_of_a_folder(folder: Path) -> None:
    (folder / "in" / "deep").mkdir(parents=True)
    (folder / "box.png").rename(folder / "in" / "deep" / "box.png")
    (folder / "in" / "notes.txt").write_text("not a photo")
    offcut(folder, "remove", "in", "-o", "out", *RED)
    assert alpha_of(folder / "out" / "deep" / "box-offcut.png")[30, 40] == 255


def test_no_result_takes_the_place_of_another(folder: Path) -> None:
    with Image.open(folder / "box.png") as photo:
        photo.convert("RGB").save(folder / "box.jpg")
    offcut(folder, "remove", "box.png", "box.jpg", "box.png", *RED)
    assert alpha_of(folder / "box.png-offcut.png")[30, 40] == 255
    assert alpha_of(folder / "box.jpg-offcut.png")[30, 40] == 255
    (folder / "other").mkdir()
    (folder / "box.jpg").rename(folder / "other" / "box.png")
    done = offcut(folder, "remove", "box.png", "other/box.png", "-o", "out", *RED, check=False)
    assert done.returncode == 1 and b"would both become" in done.stderr and b"remedy" in done.stderr
    assert not (folder / "out").exists()


def test_a_second_run_leaves_out_results_of_the_first(folder: Path) -> None:
    offcut(folder, "remove", ".", *RED)
    done = offcut(folder, "remove", ".", *RED)
    assert b"box-offcut.png: left out" in done.stderr
    assert {path.name for path in folder.glob("*.png")} == {"box.png", "box-offcut.png"}


def test_hidden_folders_are_left_alone(folder: Path) -> None:
    (folder / ".thumbnails").mkdir()
    (folder / "box.png").rename(folder / ".thumbnails" / "box.png")
    done = offcut(folder, "remove", ".", *RED, check=False)
    assert done.returncode == 1 and b"no photo" in done.stderr
    offcut(folder, "remove", ".thumbnails", "-o", "out", *RED)
    assert (folder / "out" / "box-offcut.png").exists()


def test_several_results_need_a_folder(folder: Path) -> None:
    (folder / "cut.png").write_bytes(b"kept")
    (folder / "two.png").write_bytes((folder / "box.png").read_bytes())
    for output in ("cut.png", "-"):
        call = ("remove", "box.png", "two.png", "-o", output, *RED)
        done = offcut(folder, *call, check=False)
        assert done.returncode == 1 and b"cannot hold 2 results" in done.stderr
    assert (folder / "cut.png").read_bytes() == b"kept"


def test_output_can_name_the_file(folder: Path) -> None:
    offcut(folder, "remove", "box.png", "-o", "new/cut.png", *RED)
    assert (folder / "new" / "cut.png").exists()


def test_the_photo_itself_is_never_overwritten(folder: Path) -> None:
    before = (folder / "box.png").read_bytes()
    done = offcut(folder, "remove", "box.png", "-o", "box.png", *RED, check=False)
    assert done.returncode == 1 and b"the photo itself" in done.stderr
    assert (folder / "box.png").read_bytes() == before


def test_only_mask_and_background(folder: Path) -> None:
    offcut(folder, "remove", "box.png", "-o", "mask.png", "--only-mask", *RED)
    with Image.open(folder / "mask.png") as mask:
        assert mask.mode == "L" and mask.getpixel((40, 30)) == 255
    offcut(folder, "remove", "box.png", "-o", "blue.png", "--background", "blue", *RED)
    with Image.open(folder / "blue.png") as blue:
        assert blue.getpixel((0, 0)) == (0, 0, 255, 255)


def test_a_broken_photo_is_named_and_the_others_are_done(folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    done = offcut(folder, "remove", "broken.jpg", "gone.jpg", "box.png", *RED, check=False)
    assert done.returncode == 1
    assert b"broken.jpg" in done.stderr and b"gone.jpg" in done.stderr
    assert b"remedy:" in done.stderr and b"Traceback" not in done.stderr
    assert (folder / "box-offcut.png").exists()


def test_errors_of_choice_are_plain(folder: Path) -> None:
    for wrong in (("--model", "blue"), ("--backend", "quantum"), ("--background", "blau")):
        done = offcut(folder, "remove", "box.png", *wrong, check=False)
        assert done.returncode == 1 and b"Traceback" not in done.stderr
        assert wrong[1].encode() in done.stderr


def test_a_call_without_photos_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    done = offcut(folder, "remove", "empty", *RED, check=False)
    assert done.returncode == 1 and b"no photo" in done.stderr
    done = offcut(folder, "remove", "", *RED, check=False)  # as an unset variable gives
    assert done.returncode == 1 and b"name is empty" in done.stderr
    assert not (folder / "box-offcut.png").exists()
    assert offcut(folder, "remove", check=False).returncode == 2


def test_models_and_info_know_the_model(folder: Path) -> None:
    assert b"red-float32" in offcut(folder, "models").stdout
    document = json.loads(offcut(folder, "info", "--json").stdout)
    assert tiny.NAME in document["models"]
    assert document["backends"]["reference"] == "available"
    assert b"reference" in offcut(folder, "info").stdout


def test_evaluate_measures_a_folder(folder: Path) -> None:
    for name in ("im", "gt"):
        (folder / "set" / name).mkdir(parents=True)
    photo = tiny.photo()
    truth = (photo[..., 0] > 200).astype(np.uint8) * 255
    Image.fromarray(photo).convert("RGB").save(folder / "set" / "im" / "a.jpg", quality=95)
    Image.fromarray(truth).save(folder / "set" / "gt" / "a.png")
    done = offcut(folder, "evaluate", "set", "--json", "figures.json", *RED)
    assert b"IoU at 0.5" in done.stdout
    means = json.loads((folder / "figures.json").read_text())["means"]
    assert means["iou"] > 0.9 and means["mae"] < 0.05 and means["set_max_f"] > 0.9


def test_evaluate_compares_two_models(folder: Path) -> None:
    weights = str(folder / "models" / "red-float32.safetensors")
    done = offcut(folder, "evaluate", ".", "--against", weights, "--json", "f.json", *RED)
    assert b"IoU at 0.5" in done.stdout
    assert json.loads((folder / "f.json").read_text())["summary"]["mae"] == 0


def test_evaluate_names_a_folder_without_pairs(folder: Path) -> None:
    done = offcut(folder, "evaluate", ".", *RED, check=False)
    assert done.returncode == 1 and b"no pairs" in done.stderr


def test_convert_makes_a_file_that_remove_can_use(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.array([20, -20, -20], np.float32).reshape(1, 3, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["score"]),
            helper.make_node("Sigmoid", ["score"], ["alpha"]),
        ],
        "red",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 32, 32))],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, (1, 1, 32, 32))],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = helper.make_opsetid("", 13)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "net.onnx")
    done = offcut(folder, "convert", "net.onnx", "-o", "net.safetensors", "--range", "255")
    assert b"GMAC" in done.stdout
    choice = ("--model", "net.safetensors", "--backend", "reference")
    offcut(folder, "remove", "box.png", "-o", "cut.png", *choice)
    alpha = alpha_of(folder / "cut.png")
    assert alpha[30, 40] == 255 and alpha[0, 0] == 0


def test_convert_names_a_file_that_is_no_model(folder: Path) -> None:
    done = offcut(folder, "convert", "box.png", check=False)
    assert done.returncode == 1 and b"box.png" in done.stderr and b"Traceback" not in done.stderr


def test_bench_times_the_backend_asked_for(folder: Path) -> None:
    done = offcut(folder, "bench", *RED, "--rounds", "2", "--threads", "1", "--json", "ms.json")
    (row,) = json.loads((folder / "ms.json").read_text())["backends"]
    assert (row["backend"], row["threads"]) == ("reference", 1)
    assert 0 < row["min"] <= row["median"]
    assert b"reference" in done.stdout


def test_bench_times_every_op_of_the_kernels(folder: Path) -> None:
    done = offcut(folder, "bench", "--backend", "simd", "--threads", "1", "--rounds", "1", "--ops")
    assert b"ops of simd, 1 thread(s)" in done.stdout
    assert b"conv_winograd" in done.stdout


def test_bench_refuses_threads_that_cannot_be_had(folder: Path) -> None:
    done = offcut(folder, "bench", "--model", "red", "--threads", "99", check=False)
    assert done.returncode == 1 and b"99" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    readme = Path(__file__).resolve().parents[1] / "README.md"
    assert f"offcut {command} " in readme.read_text() or f"offcut {command}\n" in readme.read_text()


def test_serve_refuses_a_folder_that_is_not_there(folder: Path) -> None:
    done = offcut(folder, "serve", "nowhere", check=False)
    assert done.returncode == 1 and b"nowhere" in done.stderr


def test_I9_remove_tells_what_of_the_file_is_not_in_the_cutout(folder: Path) -> None:
    name, data, count = next(unusual.several())
    (folder / name).write_bytes(data)

    done = offcut(folder, "remove", name, *RED)

    assert f"the first of {count} pictures" in done.stderr.decode()
