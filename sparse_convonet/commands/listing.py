"""All subcommands of `sparse-convonet`, one line each, known without importing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """name: what follows `sparse-convonet`, such as "data rooms".  tool: the script in tools/ that is the same."""

    name: str
    tool: str
    summary: str

    @property
    def module(self) -> str:
        """Where its `main` is."""
        group, _, rest = self.name.rpartition(" ")
        place = f"{group}.{rest}" if group in GROUPS else self.name.replace(" ", "_")
        return "sparse_convonet.commands." + place.replace("-", "_")


COMMANDS = (
    Command("reconstruct", "reconstruct_building", "a scan in; one mesh, a picture and a report out"),
    Command("object", "reconstruct_object", "one object in; a mesh, a picture and a report out"),
    Command("sample", "sample_shapes", "new shapes from a generative network, and shapes between two"),
    Command("train", "train", "train a model from a YAML file, on generated scenes or a data set"),
    Command("curves", "draw_curves", "the curves of trainings as a picture and a table"),
    Command("evaluate", "evaluate", "scores by the papers' protocol on a data set, or of two meshes"),
    Command("evaluate buildings", "evaluate_buildings", "scores of meshes of whole buildings, in metres"),
    Command("compare", "compare", "methods side by side on the same scans: scores, time, memory, pictures"),
    Command("validate", "validate", "validation IoU, and on which side of a surface the room lies"),
    Command("scan", "make_scan", "scan the mesh of a building virtually"),
    Command("score", "score_scan", "score a mesh against the surfaces that a scanner saw"),
    Command("export", "export_model", "the weights of a run in half the size, to ship"),
    Command("import-official", "import_official", "a published checkpoint of ConvONet or ONet to a weights file"),
    Command("completion", "completion", "a script with which bash, zsh or fish completes commands and options"),
    Command("data rooms", "make_rooms", "make the papers' rooms, or rooms and buildings in metres"),
    Command("data objects", "make_objects", "single objects from the furniture pack"),
    Command("data buildings", "make_buildings", "the benchmark of whole buildings: true meshes and virtual scans"),
    Command("data views", "render_views", "pictures of meshes from all around, with cameras"),
    Command("data scannet", "prepare_scannet", "ScanNet, as it is handed out, to a data set"),
    Command("data matterport3d", "prepare_matterport3d", "Matterport3D, as it is handed out, to a data set"),
    Command("data scans", "prepare_scans", "any folder of scans to a data set"),
    Command("data watertight", "make_watertight", "closed surfaces around raw ShapeNet models"),
    Command("data meshes", "make_mesh_set", "your own meshes to a data set to train on"),
    Command("data furniture", "make_furniture", "pack libraries of furniture as solid voxels"),
    Command("data inspect", "inspect_data", "counts, sizes and broken files of a data set; a contact sheet"),
)
GROUPS = {"data": "sets"}
_BY_NAME = {each.name: each for each in COMMANDS}


def named_command(words: Sequence[str]) -> tuple[Command | None, list[str]]:
    """The command that the first words name, None where they name none, and what follows: "evaluate buildings" before
    "evaluate"."""
    for size in (2, 1):
        command = _BY_NAME.get(" ".join(words[:size]))
        if command is not None:
            return command, list(words[size:])
    return None, list(words)
