"""What a GPU run found, as JSON and as a short page of Markdown."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sparse_convonet.gpu_run.settings import GpuRunSettings, cores
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.training.curves import CURVES
from sparse_convonet.training.starting import BEST, CHECKPOINT, LAST

JSON_NAME, MARKDOWN_NAME = "gpu_run.json", "gpu_run.md"
_FILES = (CHECKPOINT, BEST, LAST, CURVES, "half.safetensors", "config.yaml")
_ROWS_OF_CURVE = 10


@dataclass(frozen=True)
class Part:
    """found: what a part returned, in part where it failed.  error: the sentence with which it failed, or None."""

    found: dict[str, Any]
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class GpuRunReport:
    """machine: device, versions and settings, by name."""

    machine: dict[str, Any]
    tests: Part
    timings: Part
    training: Part
    export: Part

    @property
    def failed(self) -> list[str]:
        """The names of the parts that failed, tests that failed among them."""
        parts = {"tests": self.tests, "timings": self.timings, "training": self.training, "export": self.export}
        return [name for name, part in parts.items() if part.error is not None or part.found.get("failures")]


def describe_machine(settings: GpuRunSettings) -> dict[str, Any]:
    """What the run was made on, and with what."""
    has_device = settings.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if has_device else f"CPU ({platform.machine()}), a dry run",
        "torch": torch.__version__,
        "cuda": torch.version.cuda if has_device else None,
        "python": platform.python_version(),
        "cores": cores(),
        "config": os.fspath(settings.config),
        "minutes": settings.minutes,
        "init": settings.init,
        "overrides": list(settings.overrides),
    }


def write_report(report: GpuRunReport, out: Path) -> tuple[Path, Path]:
    """Write both forms into the folder of the run; their paths."""
    files = [str(out / name) for name in _FILES if (out / name).exists()]
    paths = out / JSON_NAME, out / MARKDOWN_NAME
    texts = json.dumps({**asdict(report), "files": files}, indent=1) + "\n", markdown(report, files)
    for path, text in zip(paths, texts, strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def markdown(report: GpuRunReport, files: list[str]) -> str:
    """The page: one section for each part."""
    machine = report.machine
    lines = [
        "# GPU run",
        "",
        f"{machine['device']}, torch {machine['torch']}, {machine['cores']} cores. `{machine['config']}`, "
        f"{machine['minutes']:g} minutes of training, begun with {machine['init'] or 'random weights'}.",
    ]
    sections = {
        "Tests": (report.tests, _tests), "Kernels": (report.timings, _timings),
        "Training": (report.training, _training), "Weights": (report.export, _export),
    }  # fmt: skip
    for title, (part, write) in sections.items():
        lines += ["", f"## {title}", "", f"{part.seconds:.0f} s."]
        if part.error is not None:
            lines += ["", f"Failed: {part.error}"]
        if part.found:
            lines += ["", *write(part.found)]
    return "\n".join([*lines, "", "## Files", "", *(f"- `{path}`" for path in files)]) + "\n"


def _tests(found: dict[str, Any]) -> list[str]:
    counts = f"{found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped."
    return [counts, *(f"- {name}" for name in found["failures"])]


def _timings(found: dict[str, Any]) -> list[str]:
    lines = ["| way | step, ms | encoding, ms | loss of the first step |", "| --- | ---: | ---: | ---: |"]
    for way, each in found["ways"].items():
        lines.append(f"| {way} | {each['step_ms']:.2f} | {each['encode_ms']:.2f} | {each['loss']:.5g} |")
    lines += [f"| {way} | did not run: {why} | | |" for way, why in found["did_not_run"].items()]
    return [*lines, "", f"Taken: {found['way']}; {found['reason']}."]


def _training(found: dict[str, Any]) -> list[str]:
    if not found["steps"]:
        return ["No step was taken."]
    lines = [
        f"{found['steps']} steps after step {found['first_step']}, {found['steps_per_second']:.2f} per second; "
        f"{100 * found['waiting_share']:.0f} % of that time waited for scenes.",
        "",
        "| step | loss |",
        "| ---: | ---: |",
    ]
    curve = found["loss"]
    lines += [f"| {step} | {loss:.1f} |" for step, loss in curve[:: -(-len(curve) // _ROWS_OF_CURVE)]]
    for name, values in found["validation"].items():
        lines += ["", f"Validation IoU, {name}: " + ", ".join(f"{iou:.4f} (step {step})" for step, iou in values)]
    return lines


def _export(found: dict[str, Any]) -> list[str]:
    return [f"`{found['path']}` from {found['from']}: {found['megabytes']:.1f} MB, threshold {found['threshold']:g}."]
