"""Tiny folders laid out as those of ScanNet v2 and Matterport3D are downloaded, byte for byte in their formats."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import trimesh

from sparse_convonet.structures import Mesh


def box_mesh(low: Sequence[float], high: Sequence[float]) -> Mesh:
    """A box between two corners, faces outward."""
    solid = trimesh.creation.box(bounds=[list(low), list(high)])
    return Mesh(np.asarray(solid.vertices, dtype=np.float64), np.asarray(solid.faces, dtype=np.int64))


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """All of them as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def scannet_ply(mesh: Mesh, labels: np.ndarray | None = None) -> bytes:
    """As ScanNet's own: float x y z, uchar red green blue alpha, in .labels.ply also ushort label; uchar int lists."""
    fields = [(name, "<f4") for name in "xyz"] + [(name, "u1") for name in ("red", "green", "blue", "alpha")]
    names = [f"property float {name}" for name in "xyz"]
    names += [f"property uchar {name}" for name in ("red", "green", "blue", "alpha")]
    if labels is not None:
        fields.append(("label", "<u2"))
        names.append("property ushort label")
    vertices = np.zeros(len(mesh.vertices), dtype=fields)
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    vertices["alpha"] = 255
    if labels is not None:
        vertices["label"] = labels
    return _ply(vertices, names, _faces(mesh, ()), ())


def matterport_ply(mesh: Mesh) -> bytes:
    """As Matterport3D's house and regions: positions, normals, tx ty, colours; three integers for each face."""
    floats = ("x", "y", "z", "nx", "ny", "nz", "tx", "ty")
    colours = ("red", "green", "blue")
    vertices = np.zeros(len(mesh.vertices), dtype=[*((name, "<f4") for name in floats), *((c, "u1") for c in colours)])
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    names = [f"property float {name}" for name in floats] + [f"property uchar {name}" for name in colours]
    extra = ("material_id", "segment_id", "category_id")
    return _ply(vertices, names, _faces(mesh, extra), extra)


def _faces(mesh: Mesh, extra: Sequence[str]) -> np.ndarray:
    faces = np.zeros(len(mesh.faces), dtype=[("n", "u1"), ("at", "<i4", (3,)), *((name, "<i4") for name in extra)])
    faces["n"], faces["at"] = 3, mesh.faces
    return faces


def _ply(vertices: np.ndarray, names: Sequence[str], faces: np.ndarray, extra: Sequence[str]) -> bytes:
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}", *names]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    header += [f"property int {name}" for name in extra] + ["end_header", ""]
    return "\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes()


def write_scannet_scene(
    scans: Path, name: str, mesh: Mesh, alignment: np.ndarray | None = None, labels: np.ndarray | None = None
) -> None:
    """<scans>/<name>/ with the mesh, its .txt and, where there are labels, its .labels.ply.

    alignment: (4, 4), or None for a scene whose .txt does not say it, as those of the test split.
    """
    folder = scans / name
    folder.mkdir(parents=True)
    (folder / f"{name}_vh_clean_2.ply").write_bytes(scannet_ply(mesh))
    lines = ["colorHeight = 968", "depthHeight = 480", "fx_color = 1170.187988", "numDepthFrames = 5578"]
    if alignment is not None:
        numbers = " ".join(f"{value:.6f}" for value in alignment.ravel())
        lines.insert(0, f"axisAlignment = {numbers} ")  # the files end this line with a blank
    (folder / f"{name}.txt").write_text("\n".join([*lines, "sceneType = Living room / Lounge"]) + "\n")
    if labels is not None:
        (folder / f"{name}_vh_clean_2.labels.ply").write_bytes(scannet_ply(mesh, labels))


def house_file(name: str, regions: Sequence[tuple[int, Mesh]]) -> bytes:
    """A .house file: regions as (level, mesh), in the order of their numbers; level -1: on none."""
    levels = sorted({level for level, _ in regions} - {-1})
    lines = ["ASCII 1.1"]
    counts = f"18 1 0 0 0 0 2 {len(regions)} 0 {len(levels)}"
    lines.append(f"H {name} {name} {counts}  0 0 0 0 0  {_box(joined([mesh for _, mesh in regions]))}  0 0 0 0 0")
    for level in levels:
        members = [mesh for at, mesh in regions if at == level]
        lines.append(f"L {level} {len(members)} -  0 0 0  {_box(joined(members))}  0 0 0 0 0")
    for number, (level, mesh) in enumerate(regions):
        lines.append(f"R {number} {level} 0 0 b  0 0 0  {_box(mesh)}  {np.ptp(mesh.vertices[:, 2]):g} 0 0 0 0")
    lines.append("P 0f37bd0737e349de9d536263a4bdd60d 0 0 0  1 2 1.5  0 0 0 0 0")
    lines.append("C 0 1 wall 1 wall 0 0 0 0 0")
    return ("\n".join(lines) + "\n").encode("ascii")


def _box(mesh: Mesh) -> str:
    return " ".join(
        f"{value:.5f}" for corner in (mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)) for value in corner
    )


def matterport_files(
    name: str, regions: Sequence[tuple[int, Mesh]], house: Mesh | None = None
) -> dict[str, dict[str, bytes]]:
    """The files of a scan by their part; the house is all regions together unless it is given."""
    whole = joined([mesh for _, mesh in regions]) if house is None else house
    obj = "mtllib 0a1b.mtl\nusemtl 0a1b\n" + "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in whole.vertices)
    obj += "vt 0.5 0.5\n" + "".join(f"f {a}/1 {b}/1 {c}/1\n" for a, b, c in whole.faces + 1)
    return {
        "house_segmentations": {
            f"{name}.ply": matterport_ply(whole),
            f"{name}.house": house_file(name, regions),
            f"{name}.fsegs.json": b"{}",
        },
        "region_segmentations": {
            **{f"region{number}.ply": matterport_ply(mesh) for number, (_, mesh) in enumerate(regions)},
            "region0.semseg.json": b"{}",
        },
        "matterport_mesh": {
            "0a1b/0a1b.obj": obj.encode("ascii"),
            "0a1b/0a1b.mtl": b"newmtl 0a1b\nmap_Kd 0a1b_000.jpg\n",
            "0a1b/0a1b_000.jpg": b"\xff\xd8",
        },
    }


def write_matterport_scan(scans: Path, name: str, parts: Mapping[str, Mapping[str, bytes]], *, zipped: bool) -> None:
    """<scans>/<name>/<part>.zip, as downloaded, or <scans>/<name>/<part>/."""
    folder = scans / name
    folder.mkdir(parents=True, exist_ok=True)
    for part, files in parts.items():
        if zipped:
            with zipfile.ZipFile(folder / f"{part}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{name}/{part}/", "")
                for file, content in files.items():
                    archive.writestr(f"{name}/{part}/{file}", content)
            continue
        for file, content in files.items():
            (folder / part / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / part / file).write_bytes(content)
