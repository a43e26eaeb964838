"""The training loop: a student follows its teacher; interrupted, it goes on where it was.

What is measured, and what the student ends as, is a running average of the weights: a batch holds
few photos, so that each step is noisy, and the average is not.

The run's folder holds

    checkpoint.pt   weights, their average, optimizer, step; replaced as a whole
    history.jsonl   a line per report: step, seconds, rate, loss, and on held-out photos mae and iou
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from offcut.errors import ModelFormatError
from offcut.train.data import Photos
from offcut.train.losses import Targets, distance
from offcut.train.network import Network
from offcut.train.recipe import Phase, Recipe

__all__ = ["Run", "fidelity", "train"]

AVERAGE = 0.98  # of the average's weights that a step keeps, once there were enough steps
Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Run:
    """All that a run needs besides its student. held: inputs (n, 3, h, w) to measure on."""

    teacher: Network
    photos: Photos
    what: Targets
    recipe: Recipe
    held: Tensor
    folder: Path
    others: int = 0  # bytes of the file that are not levels of weights
    every: int = 100  # steps between reports


def train(student: Network, run: Run, tell: Tell = lambda text: None) -> list[dict[str, Any]]:
    """Train the student in place, up to the recipe's last step; return the history.

    Raises ModelFormatError when the folder holds another recipe's checkpoint.
    """
    optimizer = torch.optim.Adam(student.parameters(), lr=0.0, betas=(0.9, 0.98))
    units = _units(student, run.recipe)
    run.folder.mkdir(parents=True, exist_ok=True)
    student.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(student).requires_grad_(False)
    step, seconds, history = _resume(student, averaged, optimizer, run)
    truth = _maps(run.teacher, run.held, run.what.output)
    losses: list[float] = []
    if not history:
        history.append(_report(0, 0.0, 0.0, None, averaged, run, truth, tell))
    while step < run.recipe.steps:
        began = time.monotonic()
        phase, at = run.recipe.phase_at(step)
        for group in optimizer.param_groups:
            group["lr"] = phase.rate_at(at)
        losses.append(_step(student, optimizer, units, run, phase, step))
        _average(averaged, student, step)
        step += 1
        seconds += time.monotonic() - began
        if step % run.every == 0 or step == run.recipe.steps:
            mean = sum(losses) / len(losses)
            rate = phase.rate_at(at)
            history.append(_report(step, seconds, rate, mean, averaged, run, truth, tell))
            losses.clear()
            _save(student, averaged, optimizer, run, step, seconds, history)
    student.load_state_dict(averaged.state_dict())
    return history


@torch.no_grad()
def _units(student: Network, recipe: Recipe) -> list[Tensor]:
    """Return the unit of the learning rate for each parameter, broadcasting over it.

    Tensors of a trained network differ in size by orders of magnitude, and so do the rows of one;
    Adam's steps do not. The unit is a tensor's root mean square; of a weight that is quantized, its
    step; of a step, a part of itself; of all else beside quantized weights, a part of the root mean
    square.
    """
    steps = {
        name: row.wide(student.tensor(name)[0].numel())
        for name, row in zip(student.quantized, student.quantizers, strict=True)
    }
    rest = recipe.biases if steps else 1.0
    units = []
    for name, tensor in zip(student.names, student.tensors, strict=True):
        if name in steps:
            units.append(steps[name].expand(len(tensor), tensor[0].numel()).reshape(tensor.shape))
        else:
            units.append(rest * _size(tensor))
    return units + [recipe.scales * rest * row.abs() for row in student.quantizers.parameters()]


def _size(tensor: Tensor) -> Tensor:
    return tensor.square().mean().sqrt() or torch.tensor(1e-3)


@torch.no_grad()
def _average(averaged: Network, student: Network, step: int) -> None:
    """Move the average towards the student; in the first steps, further."""
    keep = min(AVERAGE, (step + 1) / (step + 10))
    for mean, tensor in zip(averaged.parameters(), student.parameters(), strict=True):
        mean.lerp_(tensor, 1 - keep)


def _step(
    student: Network,
    optimizer: torch.optim.Optimizer,
    units: list[Tensor],
    run: Run,
    phase: Phase,
    step: int,
) -> float:
    x = run.photos.batch(step, phase.batch, phase.size)
    x = x.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=phase.precision == "bfloat16"):
        with torch.no_grad():
            theirs = run.teacher(x, keep=run.what.names)
        ours = student(x, keep=run.what.names)
    loss = distance(ours, theirs, run.what, run.recipe.losses)
    if run.recipe.bytes:
        beyond = (student.coded_bytes() + run.others) / run.recipe.bytes - 1
        loss = loss + run.recipe.losses.size * beyond.clamp(min=0)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(student.parameters(), run.recipe.clip)
    if torch.isfinite(norm):
        _move(student, optimizer, units)
    return float(loss.detach())


@torch.no_grad()
def _move(student: Network, optimizer: torch.optim.Optimizer, units: list[Tensor]) -> None:
    """Take the optimizer's step, each parameter in its own unit."""
    rows = [
        (tensor, tensor.clone(), unit)
        for tensor, unit in zip(student.parameters(), units, strict=True)
    ]
    optimizer.step()
    for tensor, before, unit in rows:
        torch.lerp(before, tensor, unit.expand_as(tensor), out=tensor)


def fidelity(student: Network, held: Tensor, truth: Tensor) -> tuple[float, float]:
    """Return mean absolute difference and mean IoU at one half of the maps on `held`."""
    ours = _maps(student, held, student.graph.outputs[0])
    inside, wanted = ours >= 0.5, truth >= 0.5
    both = (inside & wanted).sum(dim=(1, 2, 3)).double()
    either = (inside | wanted).sum(dim=(1, 2, 3)).double()
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return float((ours - truth).abs().mean()), float(iou.mean())


@torch.no_grad()
def _maps(network: Network, held: Tensor, output: str) -> Tensor:
    return torch.cat([network(x[None])[output] for x in held])


def _report(
    step: int,
    seconds: float,
    rate: float,
    loss: float | None,
    student: Network,
    run: Run,
    truth: Tensor,
    tell: Tell,
) -> dict[str, Any]:
    mae, iou = fidelity(student, run.held, truth)
    row = {"step": step, "seconds": seconds, "rate": rate, "loss": loss, "mae": mae, "iou": iou}
    size = ""
    if run.recipe.bytes:
        with torch.no_grad():
            row["bytes"] = round(float(student.coded_bytes()) + run.others)
        size = f", {row['bytes']:,} bytes"
    shown = f"{loss:.5f}" if loss is not None else "-"
    errors = f"mae {mae:.5f}, iou {iou:.4f}{size}"
    tell(f"[{step}/{run.recipe.steps}] {seconds:.0f} s, loss {shown}, {errors}")
    return row


def _save(
    student: Network,
    averaged: Network,
    optimizer: torch.optim.Optimizer,
    run: Run,
    step: int,
    seconds: float,
    history: list[dict[str, Any]],
) -> None:
    state = {
        "recipe": run.recipe.document(),
        "student": student.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "seconds": seconds,
        "history": history,
    }
    part = run.folder / "checkpoint.pt.part"
    torch.save(state, part)
    part.replace(run.folder / "checkpoint.pt")
    lines = "".join(json.dumps(row) + "\n" for row in history)
    (run.folder / "history.jsonl").write_text(lines)


def _resume(
    student: Network, averaged: Network, optimizer: torch.optim.Optimizer, run: Run
) -> tuple[int, float, list[dict[str, Any]]]:
    path = run.folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0, []
    state = torch.load(path, weights_only=True)
    if state["recipe"] != run.recipe.document():
        raise ModelFormatError(
            f"{path}: was made by another recipe", remedy="name another folder for this run"
        )
    student.load_state_dict(state["student"])
    averaged.load_state_dict(state["averaged"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"], state["history"]
