"""What a user asks for: which scan to reconstruct, where to, and how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparse_convonet.clouds.cleaning import Sought
from sparse_convonet.config.models import EngineName
from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.io.crs import ToEarth
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths
from sparse_convonet.out_of_core.points.origin import Stations
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.floor_plans import DXF_FILE, ROOMS_FILE, drawings_in
from sparse_convonet.scan.page import PAGE_FILE, PAGE_MESH
from sparse_convonet.scan.pictures import SECTION_FILE, storey_pictures_in
from sparse_convonet.scan.texture import LEAST_PIXELS, MOST_PIXELS, TEXTURE_FILE

RESULT_FILES = ("mesh.ply", "preview.png", "report.json")  # the last says that the others are of one run
LIGHT_FORMATS = ("glb", "obj", "stl", "usd")
_LIGHT_ERROR_CELLS = 0.25
TILES_FOLDER = "tiles"
PRJ_FILE = "mesh.prj"
REMOVED_FILE = "removed.ply"
RESULT_NAMES = (
    *RESULT_FILES,
    *(f"mesh.{name}" for name in LIGHT_FORMATS),
    PAGE_FILE,
    PRJ_FILE,
    DXF_FILE,
    ROOMS_FILE,
    REMOVED_FILE,
    SECTION_FILE,
    TEXTURE_FILE,
    TILES_FOLDER,
)


@dataclass(frozen=True)
class ScanRequest:
    """What to reconstruct, and how.

    up: None for the axis that the points show.  scale: metres per unit of the scan; None for what its files declare, or
    metres, refused where its size says otherwise.  stations: where the scanner of each input stood, or of all of them,
    in their frame and units; none: where the files say.  trajectory: a table of where a scanner was that moved, see
    io/trajectory.py.  keep_ghosts: keep what rays from elsewhere passed through (clouds/ghosts.py), which is left out where
    scanners are known.  keep_outliers: keep what is strewn through space (clouds/outliers.py), which is left out of scans
    that hold much of it.  removed: write what is left out so to removed.ply.  model: a name or a file.  columns: of tables,
    as of read_points.  crs: the coordinate system of the scan ("EPSG:25832"); None: what its files declare.
    work: where points and tiles are kept while a scan is reconstructed through the disk; None: a folder in `out`.
    cluster: "local" or the address of Ray, for the tiles.  tiles: write a folder of 3D Tiles as well.
    light: formats (LIGHT_FORMATS) of a mesh with few faces beside mesh.ply.  light_error_m: how far it may be from that
    (mesh.collapse.collapse_edges); None: a quarter of a cell.  page: write a page that shows the result as well, which
    takes a light mesh.glb, as do pictures: of each storey, and a section, and texture: the most texels along a side of the
    picture of mesh_textured.glb, the light mesh with the colours of the points; None: not written.  attributes: numbers of
    the points (LAS, PLY, PCD) that mesh.ply's vertices take over.  floor_plan: write the plan of every storey too.
    """

    inputs: Sequence[Path]
    out: Path
    settings: ReconstructionSettings
    up: str | None = None
    scale: float | None = None
    stations: Stations = ()
    trajectory: Path | None = None
    keep_ghosts: bool = False
    keep_outliers: bool = False
    removed: bool = False
    model: str | Path = DEFAULT_MODEL
    engine: EngineName | None = None
    device: str = "cpu"
    seed: int = 0
    columns: Sequence[str] | None = None
    crs: str | None = None
    overwrite: bool = False
    work: Path | None = None
    cluster: str | None = None
    tiles: bool = False
    light: Sequence[str] = ("glb",)
    light_error_m: float | None = None
    page: bool = False
    pictures: bool = False
    texture: int | None = None
    attributes: Sequence[str] = ()
    floor_plan: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.light if name not in LIGHT_FORMATS]
        if unknown:
            raise ValueError(
                f"--formats: expected ply, {', '.join(LIGHT_FORMATS)}, found {unknown[0]!r}; name one or more of them, "
                "with commas between"
            )
        if self.light_error_m is not None and not (math.isfinite(self.light_error_m) and self.light_error_m > 0):
            raise ValueError(
                f"--light-error: expected a distance above 0, found {self.light_error_m * 1000:g} mm; leave it away "
                "for a quarter of a cell"
            )
        if self.texture is not None and not LEAST_PIXELS <= self.texture <= MOST_PIXELS:
            raise ValueError(
                f"--texture: expected {LEAST_PIXELS} to {MOST_PIXELS} texels, found {self.texture}; --texture alone is 4096"
            )

    def paths(
        self, mesh: Path, preview: Path, light: Sequence[Path], cell_size_m: float, to_earth: ToEarth | None
    ) -> ResultPaths:
        """Where to write, for the time being, what becomes the results, with 3D Tiles where they stay."""
        error_m = self.light_error_m or _LIGHT_ERROR_CELLS * cell_size_m
        tiles = self.out / TILES_FOLDER if self.tiles else None
        return ResultPaths(mesh, preview, light, error_m, tiles, ", ".join(path.name for path in self.inputs), to_earth)

    @property
    def sought(self) -> Sought:
        """What is left out of the points besides what cannot be used."""
        return Sought(not self.keep_ghosts, not self.keep_outliers)

    @property
    def light_files(self) -> tuple[str, ...]:
        """Those of the light mesh."""
        names = tuple(f"mesh.{name}" for name in self.light)
        is_needed = self.page or self.pictures or self.texture is not None
        return (*names, PAGE_MESH) if is_needed and PAGE_MESH not in names else names

    @property
    def page_files(self) -> tuple[str, ...]:
        """The page, if it is asked for."""
        return (PAGE_FILE,) if self.page else ()

    @property
    def texture_files(self) -> tuple[str, ...]:
        """The mesh with a texture, if it is asked for."""
        return (TEXTURE_FILE,) if self.texture is not None else ()

    @property
    def removed_files(self) -> tuple[str, ...]:
        """The points that are left out, if they are asked for."""
        return (REMOVED_FILE,) if self.removed else ()

    @property
    def through_disk(self) -> bool:
        """Whether it goes through the disk however small it is."""
        return bool(self.work or self.cluster)

    @property
    def result_files(self) -> tuple[str, ...]:
        """What is written to `out`."""
        return (
            RESULT_FILES[0],
            *self.light_files,
            *self.page_files,
            *self.texture_files,
            *self.removed_files,
            *([SECTION_FILE] if self.pictures else []),
            *([DXF_FILE, ROOMS_FILE] if self.floor_plan else []),
            *RESULT_FILES[1:],
            *([TILES_FOLDER] if self.tiles else []),
        )

    @property
    def storey_files(self) -> list[str]:
        """What `out` holds of the results that there is one of for each storey, if they are asked for."""
        pictures = storey_pictures_in(self.out) if self.pictures else []
        return pictures + (drawings_in(self.out) if self.floor_plan else [])

    @property
    def earlier_files(self) -> list[str]:
        """Results of any run that `out` holds."""
        named = [name for name in RESULT_NAMES if (self.out / name).exists()]
        return [*named, *drawings_in(self.out), *storey_pictures_in(self.out)]
