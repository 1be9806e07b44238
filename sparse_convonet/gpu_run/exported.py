"""The fourth part: the best weights of the training as a small file, matrices in half precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparse_convonet.gpu_run.failures import telling
from sparse_convonet.model.weights import export_half
from sparse_convonet.training.starting import BEST, LAST

EXPORTED = "half.safetensors"


@telling
def export_best(out: str) -> dict[str, Any]:
    """Write half.safetensors in the folder of a run, from the best weights, or the last ones where none were validated."""
    folder = Path(out)
    source = next((folder / name for name in (BEST, LAST) if (folder / name).exists()), None)
    if source is None:
        raise ValueError(
            f"{folder}: expected {BEST} or {LAST} of a training, found neither; the training wrote nothing"
        )
    model = export_half(source, folder / EXPORTED)
    size_mb = (folder / EXPORTED).stat().st_size / 1e6
    return {"path": str(folder / EXPORTED), "from": source.name, "megabytes": size_mb, "threshold": model.threshold}
