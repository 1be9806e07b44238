"""What a tool leaves in its folder, without times and memory, and whether that is whole."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

_COSTS = ("seconds", "peak_bytes", "cuda_bytes", "peak_memory_bytes", "predicted")
_SHOWS_COSTS = ("bars.png", "index.html", "page.html")
_UNMADE = "not there"


def snapshot(out: Path) -> dict[str, str]:
    """What stands under final names in a file or folder, without times and memory; temporary names are left out."""
    if out.is_file():
        return {out.name: _content(out)}
    paths = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(out)): _content(path) for path in paths if not _is_temporary(path.relative_to(out))
    }  # fmt: skip


def temporaries(out: Path) -> list[str]:
    """Names in a folder (or beside a file) that no finished run leaves."""
    folder = out if out.is_dir() else out.parent
    return [str(path) for path in sorted(folder.rglob("*")) if _is_temporary(path.relative_to(folder))]


def _is_temporary(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _content(path: Path) -> str:
    """Raises where the file is half written."""
    if path.name in _SHOWS_COSTS:
        return _whole(path)
    if path.suffix == ".json":
        found = json.loads(path.read_text())
        # A comparison's run.json says what is being run, and at the end what it cost.
        return json.dumps(_without_costs(found["identity"] if path.name == "run.json" else found), sort_keys=True)
    if path.suffix in (".csv", ".md"):
        return _columns(path)
    return path.read_bytes().hex()


def _whole(path: Path) -> str:
    if path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()
    else:
        assert path.read_text().rstrip().endswith("</html>"), path
    return "whole"


def _is_cost(name: str) -> bool:
    return name in _COSTS or name.strip().endswith(" s") or "memory" in name


def _without_costs(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_costs(each) for name, each in value.items() if not _is_cost(name)}
    return [_without_costs(each) for each in value] if isinstance(value, list) else value


def _columns(path: Path) -> str:
    text = path.read_text()
    assert text.endswith("\n"), path
    rows = list(csv.reader(io.StringIO(text), delimiter="," if path.suffix == ".csv" else "|"))
    assert len({len(row) for row in rows}) == 1, path
    kept = [number for number, name in enumerate(rows[0]) if not _is_cost(name)]
    return repr([[row[number] for number in kept] for row in rows])


def require_whole(
    now: dict[str, str], reference: dict[str, str], earlier: dict[str, str] | None, *, by_folder: bool = False
) -> bool:
    """Every file is as an undisturbed run makes it; or, where there was a result before, all are of one run.

    by_folder: each folder of files is of one run.  Returns whether the process died between the renamings of a result,
    whose last file is missing then, or of a folder, which is.
    """
    if earlier is None:
        different = {name for name, content in now.items() if reference.get(name, _UNMADE) != content}
        assert not different, different
        return False
    if now in (earlier, reference):
        return False
    if by_folder:
        states = [_by_folder(each) for each in (now, reference, earlier)]
        missing = [folder for folder in states[1] | states[2] if folder not in states[0]]
        mixed = [name for name, files in states[0].items() if files not in (states[1].get(name), states[2].get(name))]
        assert not mixed and len(missing) <= 1, (mixed, missing)
        return bool(missing)
    last = list(reference)[-1]
    assert last not in now and set(now) == set(list(reference)[:-1]), sorted(now)
    assert all(content in (earlier[name], reference[name]) for name, content in now.items())
    return True


def _by_folder(found: dict[str, str]) -> dict[tuple[str, ...], dict[str, str]]:
    """The files of each model, <class>/<model>/..., and every other file for itself."""
    folders: dict[tuple[str, ...], dict[str, str]] = {}
    for name, content in found.items():
        folders.setdefault(Path(name).parts[:2], {})[name] = content
    return folders
