"""What each part makes of what it finds, without running the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sparse_convonet.gpu_run import marked_tests, requirements, run
from sparse_convonet.gpu_run.exported import export_best
from sparse_convonet.gpu_run.kernels import faster_way
from sparse_convonet.gpu_run.marked_tests import counts_of, run_marked_tests
from sparse_convonet.gpu_run.report import JSON_NAME, GpuRunReport, Part, describe_machine, write_report
from sparse_convonet.gpu_run.settings import GpuRunSettings, cores
from sparse_convonet.gpu_run.trained import summary_of
from sparse_convonet.training.curves import CURVES, CsvCurves

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "buildings" / "sparse_building.yaml"


def timed(step_ms: float, loss: float = 100.0) -> dict[str, Any]:
    return {"step_ms": step_ms, "encode_ms": step_ms / 3, "loss": loss}


@pytest.mark.parametrize(
    ("timings", "way", "reason"),
    [
        ({"torch": timed(9.0), "triton": timed(5.0, 100.9)}, "triton", "9.0 ms with torch and 5.0 ms with Triton"),
        ({"torch": timed(4.0), "triton": timed(5.0)}, "torch", "4.0 ms with torch"),
        ({"torch": timed(9.0), "triton": timed(5.0, 110.0)}, "torch", "differs by 10.0 %"),
        ({"torch": timed(9.0), "triton": timed(5.0, float("nan"))}, "torch", "differs by nan %"),
        ({"torch": timed(9.0)}, "torch", "Triton kernels did not run"),
        ({"triton": timed(9.0)}, "triton", "torch's gather did not run"),
    ],
)
def test_the_faster_way_is_taken_if_it_computes_the_same(timings: dict[str, Any], way: str, reason: str) -> None:
    found, why = faster_way(timings)
    assert found == way and reason in why


def test_counts_of_tests_name_those_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "tests.xml"
    path.write_text(
        '<testsuites><testsuite><testcase classname="a" name="x"/><testcase classname="a" name="y"><failure/></testcase>'
        '<testcase classname="b" name="z"><skipped/></testcase><testcase classname="b" name="w"><error/></testcase>'
        "</testsuite></testsuites>",
        encoding="utf-8",
    )
    assert counts_of(path) == {"passed": 1, "failed": 2, "skipped": 1, "failures": ["a.y", "b.w"]}


def test_without_pytest_the_tests_part_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked_tests, "is_installed", lambda name: name != "pytest")
    with pytest.raises(ValueError, match="expected the package pytest, found none"):
        run_marked_tests(tmp_path, 1.0)


def test_tests_that_take_too_long_are_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="ended after 0.05 s"):
        run_marked_tests(tmp_path, 0.05)


def test_missing_packages_are_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements.require_packages()
    monkeypatch.setattr(requirements, "is_installed", lambda name: name not in ("yaml", "tqdm"))
    with pytest.raises(ValueError, match="found no pyyaml, tqdm; install what is missing: .* pyyaml tqdm"):
        requirements.require_packages()


def test_the_summary_of_a_training_counts_its_own_steps_only(tmp_path: Path) -> None:
    curves = CsvCurves(tmp_path, 1)
    for step in range(1, 101):
        curves.add_scalar("loss", 200.0 - step, step)
        curves.add_scalar("seconds/waiting", 0.03, step)
        curves.add_scalar("seconds/step", 0.01, step)
    curves.add_scalar("iou/validation_rooms", 0.5, 50)
    curves.add_scalar("iou/validation_rooms", 0.75, 100)
    curves.close()
    found = summary_of(tmp_path, first_step=20)
    assert found["steps"] == 80 and found["first_step"] == 20
    assert found["waiting_share"] == pytest.approx(0.75) and found["steps_per_second"] == pytest.approx(25)
    assert len(found["loss"]) == 40 and found["loss"][0] == (22, 178.5) and found["loss"][-1] == (100, 100.5)
    assert found["validation"] == {"rooms": [(50, 0.5), (100, 0.75)]}
    assert summary_of(tmp_path, first_step=100)["steps_per_second"] is None
    with pytest.raises(FileNotFoundError):
        summary_of(tmp_path / "elsewhere")


def test_a_part_that_fails_leaves_its_sentence() -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError("CUDA error: an illegal memory access\nCompile with TORCH_USE_CUDA_DSA")

    part = run._part("timings", fail)
    assert part.error == "CUDA error: an illegal memory access" and part.found == {}


def test_an_export_without_a_training_says_what_is_missing(tmp_path: Path) -> None:
    assert "expected best.safetensors or last.safetensors of a training" in export_best(str(tmp_path))["error"]


def test_a_report_of_failed_parts_names_them_and_their_reasons(tmp_path: Path) -> None:
    settings = GpuRunSettings(CONFIG, tmp_path, 3.0, dry_run=True)
    (tmp_path / CURVES).touch()
    report = GpuRunReport(
        machine=describe_machine(settings),
        tests=Part({"passed": 3, "failed": 1, "skipped": 0, "failures": ["a.b"]}, 1.0),
        timings=Part(
            {
                "ways": {"torch": timed(9.0)},
                "did_not_run": {"triton": "no compiler"},
                "way": "torch",
                "reason": "the Triton kernels did not run",
            },
            2.0,
        ),
        training=Part({}, 3.0, "CUDA out of memory"),
        export=Part({}, 0.0, "nothing to export"),
    )
    path, page = write_report(report, tmp_path)
    assert report.failed == ["tests", "training", "export"] and path.name == JSON_NAME
    found, text = json.loads(path.read_text(encoding="utf-8")), page.read_text(encoding="utf-8")
    assert found["training"]["error"] == "CUDA out of memory" and found["files"] == [str(tmp_path / CURVES)]
    for sentence in (
        "3 passed, 1 failed, 0 skipped", "- a.b", "| torch | 9.00 |", "triton | did not run: no compiler",
        "Taken: torch; the Triton kernels did not run.", "Failed: CUDA out of memory", "Failed: nothing to export",
    ):  # fmt: skip
        assert sentence in text, sentence


def test_all_cores_but_two_make_scenes_and_a_config_without_scenes_is_refused(tmp_path: Path) -> None:
    assert GpuRunSettings(CONFIG, tmp_path, 1.0).experiment().training.workers == max(1, cores() - 2)
    with pytest.raises(ValueError, match="trained on generated scenes, found a method without learning"):
        GpuRunSettings(ROOT / "configs" / "rooms" / "poisson.yaml", tmp_path, 1.0).experiment()
    with pytest.raises(ValueError, match="minutes: expected more than 0"):
        GpuRunSettings(CONFIG, tmp_path, 0.0)
