"""What a GPU run needs installed, asked before anything of it is imported."""

from __future__ import annotations

import importlib.util

# What a name is installed as, where that differs from what it is imported as.
_REQUIRED = {
    "torch": "torch",
    "numba": "numba",
    "numpy": "numpy",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "safetensors": "safetensors",
    "tqdm": "tqdm",
    "psutil": "psutil",
}


def require_packages() -> None:
    """Raise ValueError, naming the packages that are missing."""
    missing = [package for name, package in _REQUIRED.items() if not is_installed(name)]
    if missing:
        raise ValueError(
            f"packages: expected {', '.join(_REQUIRED.values())}, found no {', '.join(missing)}; "
            f"install what is missing: python -m pip install {' '.join(missing)}"
        )


def is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):  # ValueError: a module that was put there without a specification
        return False
