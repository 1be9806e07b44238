"""How missing packages are told: what to run works wherever this package came from."""

from __future__ import annotations

import importlib.metadata

import pytest

from sparse_convonet.runtime.refusals import installation, require_package

REQUIRES = [
    "numpy>=1.24",
    'laspy[lazrs]>=2.5; extra == "las"',
    "pyproj>=3.6; extra == 'las'",
    'ray; extra == "cluster"',
]


def test_the_packages_of_an_extra_are_named_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: REQUIRES)
    assert installation("las") == "run: pip install 'laspy[lazrs]>=2.5' 'pyproj>=3.6'"
    assert installation("cluster") == "run: pip install ray"
    with pytest.raises(
        ValueError, match="flying needs the package wings, which is not installed; run: pip install ray"
    ):
        require_package("wings", "cluster", "flying")


def test_a_source_that_is_not_installed_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert installation("las") == "run in the folder of its source: pip install -e '.[las]'"
