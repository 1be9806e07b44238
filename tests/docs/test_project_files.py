"""Files beside the pages that say of the project what stands elsewhere too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import sparse_convonet
from tests.docs.pages import ROOT


def test_the_citation_names_the_version_the_licence_and_the_authors_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert citation["version"] == sparse_convonet.__version__
    assert f'version = "{sparse_convonet.__version__}"' in project
    assert f'license = "{citation["license"]}"' in project
    assert f'authors = [{{ name = "{citation["authors"][0]["name"]}" }}]' in project
    assert citation["references"][0]["url"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_hooks_before_a_commit_are_local_and_run_what_make_test_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in hooks[0]["hooks"]:
        command = re.fullmatch(r"\.venv/bin/python -m (ruff \w+) --force-exclude", hook["entry"])
        assert command is not None and f"$(RUN) -m {command[1]} " in makefile


def test_extras_are_all_explained_on_the_page_of_the_installation() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    page = (ROOT / "docs" / "INSTALL.md").read_text(encoding="utf-8")
    extras = re.findall(r"^(\w+) = \[", section, re.M)
    assert len(extras) >= 8
    for extra in extras:
        assert f"\n| `{extra}` |" in page, extra


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_the_files_of_the_images_pass_the_linter(name: str) -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed; the extra dev brings it on Linux")
    found = subprocess.run([linter, str(ROOT / "docker" / name)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")
