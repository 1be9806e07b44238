"""Methods of the benchmark of buildings by name: what makes a mesh of a scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.baselines.reconstruction import reconstruct_baseline
from sparse_convonet.clouds.outliers import without_outliers
from sparse_convonet.config.baselines import NormalSource, PoissonSettings
from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.evaluation.contenders import name_of_run
from sparse_convonet.evaluation.predictors import WindowPredictor
from sparse_convonet.model.weights import load_model, weights_path
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstructor
from sparse_convonet.structures import Mesh, PointCloud, TrainingSample

Method = Callable[[PointCloud], Mesh]

POISSON_CELL_M = 0.025  # as the mesh has in voxels of 5 cm
WINDOW_VOXEL_M = 0.08
_TRIMMED_SHARE = 0.05
_POISSON = PoissonSettings(depth=None, cell=POISSON_CELL_M, seen_from="inside")


@dataclass(frozen=True)
class MethodKind:
    """about: a line.  opened: the method, by its model.  model: the one that it has where none is named; None: it has none
    and needs one; "": it takes none."""

    about: str
    opened: Callable[[str], Method]
    model: str | None = ""


def _sparse(voxel_size_m: float | None, *, told: bool = False, twice: bool = False) -> Callable[[str], Method]:
    """told: where the scanner stood."""

    def opened(model: str) -> Method:
        settings = ReconstructionSettings(voxel_size_m=voxel_size_m, twice=twice)
        reconstructor = Reconstructor(load_model(model), settings)

        def mesh_of(cloud: PointCloud) -> Mesh:
            given = PointCloud(cloud.points, scanners=cloud.scanners if told else None)
            return reconstructor.run(without_outliers(given)[0]).mesh  # as sparse-convonet reconstruct does

        return mesh_of

    return opened


def _poisson(normals: NormalSource, trimmed: float = 0.0) -> Callable[[str], Method]:
    settings = replace(_POISSON, normals=normals, trim_quantile=trimmed)
    return lambda model: lambda cloud: reconstruct_baseline(cloud, settings).mesh


def _window(model: str) -> Method:
    predictor = WindowPredictor(load_model(model))

    def mesh_of(cloud: PointCloud) -> Mesh:
        nothing = np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=bool)
        return predictor.predict(TrainingSample(cloud.points.astype(np.float32), *nothing, WINDOW_VOXEL_M)).mesh

    return mesh_of


KINDS = {
    "sparse": MethodKind("a sparse model, voxels as planned, points alone", _sparse(None), DEFAULT_MODEL),
    "sparse_5cm": MethodKind("a sparse model, voxels of 5 cm, points alone", _sparse(0.05), DEFAULT_MODEL),
    "sparse_8cm": MethodKind("a sparse model, voxels of 8 cm, points alone", _sparse(0.08), DEFAULT_MODEL),
    "sparse_told": MethodKind("the first, told where the scanner stood", _sparse(None, told=True), DEFAULT_MODEL),
    "sparse_twice": MethodKind("the first, mean of two encodings", _sparse(None, twice=True), DEFAULT_MODEL),
    "sparse_told_twice": MethodKind("both of these", _sparse(None, told=True, twice=True), DEFAULT_MODEL),
    "dense_window": MethodKind("the papers' dense network in a sliding window, voxels of 8 cm", _window, None),
    "poisson_true": MethodKind("Poisson with true normals", _poisson("given")),
    "poisson_scanner": MethodKind("Poisson, estimated normals turned to where the scanner stood", _poisson("scanners")),
    "poisson_estimated": MethodKind("Poisson, normals estimated from the points alone", _poisson("estimated")),
    "trimmed_true": MethodKind("trimmed Poisson with true normals", _poisson("given", _TRIMMED_SHARE)),
    "trimmed_scanner": MethodKind(
        "trimmed Poisson, estimated normals turned to where the scanner stood", _poisson("scanners", _TRIMMED_SHARE)
    ),
    "trimmed_estimated": MethodKind(
        "trimmed Poisson, normals estimated from the points alone", _poisson("estimated", _TRIMMED_SHARE)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class BuildingMethod:
    """One row of the table.  name: of a kind; model: "" where it takes none; label: of its folder and its row."""

    name: str
    model: str
    label: str

    @classmethod
    def parse(cls, text: str) -> BuildingMethod:
        """From "name" or "name=model".  Raises ValueError where there is no such method, or it takes another number of
        models."""
        name, given, model = text.partition("=")
        if name not in KINDS:
            raise ValueError(f"--methods: expected some of {', '.join(KINDS)}, found {name!r}; choose among these")
        kind = KINDS[name]
        if kind.model == "" and given:
            raise ValueError(f"--methods: {name} takes no model, found {text!r}; write {name}")
        if kind.model is None and not model:
            raise ValueError(f"--methods: {name} needs a model, found none; write {name}=FILE.safetensors")
        if not model:
            return cls(name, kind.model or "", name)
        return cls(name, model, f"{name}_{name_of_run(weights_path(model))}")

    def open(self) -> Method:
        """The method, its model loaded."""
        return KINDS[self.name].opened(self.model)
