"""Write a mesh as OpenUSD, for scenes of films, simulators and robots."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_convonet.runtime.refusals import require_package
from sparse_convonet.structures import Mesh

PACKAGE, EXTRA = "pxr", "usd"


def write_usd(path: Path, mesh: Mesh) -> None:
    """One UsdGeomMesh, /mesh, of a mesh in metres, z up; normals, colours and attributes are its primvars.

    Points are float32 about a whole number of metres, which the prim's translation carries in double.  path: its suffix is
    .usd, .usda or .usdc.  Raises ValueError where OpenUSD is not installed.
    """
    require_package(PACKAGE, EXTRA, path.suffix)
    from pxr import Gf, Sdf, Usd, UsdGeom, Vt

    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    prim = UsdGeom.Mesh.Define(stage, "/mesh")
    stage.SetDefaultPrim(prim.GetPrim())
    origin = np.round(mesh.vertices.mean(axis=0))
    prim.AddTranslateOp().Set(Gf.Vec3d(*origin.tolist()))
    places = (mesh.vertices - origin).astype(np.float32)
    prim.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(places))
    prim.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([places.min(axis=0), places.max(axis=0)])))
    prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, dtype=np.int32)))
    prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.faces.astype(np.int32).ravel()))
    prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    prim.CreateDoubleSidedAttr(True)  # or an open surface is not there from behind
    if mesh.normals is not None:
        prim.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(mesh.normals.astype(np.float32)))
        prim.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    if mesh.colours is not None:
        colours = prim.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
        colours.Set(Vt.Vec3fArray.FromNumpy(_linear(mesh.colours)))
    more = UsdGeom.PrimvarsAPI(prim)
    for name, values in mesh.attributes.items():
        primvar = more.CreatePrimvar(name, Sdf.ValueTypeNames.FloatArray, UsdGeom.Tokens.vertex)
        primvar.Set(Vt.FloatArray.FromNumpy(values.astype(np.float32)))
    if not stage.GetRootLayer().Export(str(path)):
        raise OSError(f"{path}: could not be written")


def _linear(colours: np.ndarray) -> np.ndarray:
    """Colours of sRGB (V, 3) uint8 as USD counts them: linear, 0 to 1, float32 (IEC 61966-2-1)."""
    shares = colours.astype(np.float64) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4).astype(np.float32)
