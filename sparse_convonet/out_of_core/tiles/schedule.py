"""All tiles of a reconstruction, in an order in which each finds what it needs, on as many workers as there are.

needs: what a job takes of its machine.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.cluster import TaskNeeds, TaskRunner
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.out_of_core.tiles.encoding import EncodedTile, StageJob, forget_stage, run_stage, stages
from sparse_convonet.out_of_core.tiles.search_files import SEARCH
from sparse_convonet.out_of_core.tiles.searching import SearchedTile, TileJob, mesh_tile, search_tile
from sparse_convonet.out_of_core.tiles.surroundings import ContextJob, make_context
from sparse_convonet.out_of_core.tiles.work_plan import WorkPlan, encoded_tiles, mesh_tiles
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.tile_grid import TileName


@dataclass(frozen=True)
class Encoding:
    """level_cells: cells of the whole field by stride.  seed_tiles: tiles of the meshing that hold seed cells.

    stages: how many stages of the network are done for all tiles.
    """

    level_cells: dict[int, int]
    seed_tiles: tuple[TileName, ...]
    stages: int

    def save(self, path: Path) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Encoding:
        """What `save` wrote, or nothing done."""
        if not path.is_file():
            return cls({}, (), 0)
        found = json.loads(path.read_text(encoding="utf-8"))
        cells = {int(stride): count for stride, count in found["level_cells"].items()}
        return cls(cells, tuple((x, y, z) for x, y, z in found["seed_tiles"]), found["stages"])


def encode_all(
    folder: Path, unet: SparseUNet, tiles: Sequence[TileName], runner: TaskRunner, needs: TaskNeeds, progress: Progress
) -> Encoding:
    """Encode the tiles of a work folder, stage by stage; what is done already takes no time."""
    files = encoded_tiles(folder, WorkPlan.load(folder))
    path = files.folder / "encoding.json"
    files.folder.mkdir(exist_ok=True)
    order = stages(unet)
    encoding = Encoding.load(path)
    list(runner.run(make_context, [ContextJob(str(folder))], lambda job: needs))
    shares = np.cumsum([0, *(0.25**stage.level for stage in order)])  # of the work; coarser levels have fewer cells
    for number in range(encoding.stages, len(order)):
        jobs = [StageJob(str(folder), tile, order[number]) for tile in tiles]
        level_cells, seed_tiles = Counter(encoding.level_cells), set(encoding.seed_tiles)
        made: EncodedTile
        for done, (_, made) in enumerate(runner.run(run_stage, jobs, lambda job: needs)):
            level_cells.update({made.stride: made.cells} if made.stride else {})
            seed_tiles.update(made.seed_tiles)
            here = (done + 1) / len(jobs)
            progress("encode", float((1 - here) * shares[number] + here * shares[number + 1]) / float(shares[-1]))
        encoding = Encoding(dict(sorted(level_cells.items())), tuple(sorted(seed_tiles)), number + 1)
        encoding.save(path)
        forget_stage(files, tiles, order[number], len(unet.widths) - 1)
    return encoding


def search_all(
    folder: Path, seed_tiles: Sequence[TileName], runner: TaskRunner, needs: TaskNeeds, progress: Progress
) -> int:
    """Search tiles until no surface leaves one for cells that were not looked at; the number of visits.

    Tiles of one parity along every axis do not touch, so they are searched at the same time, and each finds the same
    whatever the order within their turn.
    """
    searched = set(mesh_tiles(folder, WorkPlan.load(folder)).names_with(SEARCH))
    waiting = {*seed_tiles, *searched}  # those searched by a run that was killed may have called others
    finished: set[TileName] = set()
    visits = 0
    while waiting:
        for parity in sorted({_parity(tile) for tile in waiting}):
            turn = sorted(tile for tile in waiting if _parity(tile) == parity)
            waiting.difference_update(turn)
            found: SearchedTile
            jobs = [TileJob(str(folder), tile) for tile in turn]
            for number, found in runner.run(search_tile, jobs, lambda job: needs):
                visits += 1
                if found.changed or turn[number] not in finished:
                    waiting.update(found.called)
                finished.add(turn[number])
                progress("search", len(finished - waiting) / len(finished | waiting))
    return visits


def mesh_all(folder: Path, runner: TaskRunner, needs: TaskNeeds, progress: Progress) -> list[TileName]:
    """Make the meshes of all tiles that were searched; those that have faces, in order."""
    tiles = mesh_tiles(folder, WorkPlan.load(folder)).names_with(SEARCH)
    jobs = [TileJob(str(folder), tile) for tile in tiles]
    meshed = []
    for done, (number, has_faces) in enumerate(runner.run(mesh_tile, jobs, lambda job: needs)):
        if has_faces:
            meshed.append(tiles[number])
        progress("mesh", (done + 1) / len(jobs))
    return sorted(meshed)


def _parity(tile: TileName) -> tuple[int, int, int]:
    return tile[0] % 2, tile[1] % 2, tile[2] % 2
