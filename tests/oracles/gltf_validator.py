"""Khronos' glTF validator, by Node.js; from npm, where that can be reached."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

VALIDATOR = "gltf-validator@2.0.0-dev.3.10"
SCRIPT = """
const validator = require('gltf-validator'), fs = require('fs');
(async () => {
  const found = {};
  for (const file of process.argv.slice(2))
    found[file] = (await validator.validateBytes(new Uint8Array(fs.readFileSync(file)))).issues;
  console.log(JSON.stringify(found));
})();
"""


def install_validator(folder: Path) -> Path:
    """The script in a folder with the validator; skips the test where there is no Node.js or npm cannot fetch it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs Node.js and npm")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", VALIDATOR]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {VALIDATOR} within a minute")
    if done.returncode:
        pytest.skip(f"npm could not fetch {VALIDATOR}: {done.stderr.strip().splitlines()[-1:]}")
    script = folder / "validate.cjs"
    script.write_text(SCRIPT, encoding="utf-8")
    return script


def issues_of(script: Path, files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """By file: numErrors, numWarnings, messages, ..."""
    command = ["node", str(script), *map(str, files)]
    found: dict[str, dict[str, Any]] = json.loads(subprocess.check_output(command, text=True, timeout=120))
    return found
