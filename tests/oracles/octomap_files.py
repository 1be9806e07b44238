"""OctoMap's two file formats written from nested children, node by node, by the description of the formats alone.

A tree is None (unknown), a number (a leaf with these odds) or a list of eight trees.
"""

from __future__ import annotations

import struct
from collections.abc import Set
from typing import Any

Tree = Any
Cell = tuple[int, int, int]


def tree_of_cells(cells: Set[Cell], free: Set[Cell] = frozenset(), level: int = 16) -> Tree:
    """The tree of occupied and free cells; equal leaves are merged, as OctoMap's prune does."""
    if not cells and not free:
        return None
    if level == 0:
        return 2.0 if cells else -2.0
    half = 1 << (level - 1)

    def part(which: Set[Cell], child: int) -> Set[Cell]:
        side = [child >> axis & 1 for axis in range(3)]
        return {
            (x - side[0] * half, y - side[1] * half, z - side[2] * half)
            for x, y, z in which
            if [x >= half, y >= half, z >= half] == side
        }

    children = [tree_of_cells(part(cells, child), part(free, child), level - 1) for child in range(8)]
    if all(isinstance(child, float) and child == children[0] for child in children):
        return children[0]
    return children


def count(tree: Tree) -> int:
    if tree is None:
        return 0
    return 1 + (sum(count(child) for child in tree) if isinstance(tree, list) else 0)


def header(kind: str, tree: Tree, cell: float, name: str = "OcTree", nodes: int | None = None) -> bytes:
    first = (
        f"# Octomap OcTree {kind}file\n# (feel free to add / change comments, but leave the first line as it is!)\n#\n"
    )
    return f"{first}id {name}\nsize {count(tree) if nodes is None else nodes}\nres {cell}\ndata\n".encode()


def binary_file(tree: Tree, cell: float) -> bytes:
    """.bt"""

    def node(children: list[Tree]) -> bytes:
        bits, below = 0, b""
        for number, child in enumerate(children):
            if child is not None:
                kind = 3 if isinstance(child, list) else 2 if child > 0 else 1
                bits |= kind << 2 * number
            if isinstance(child, list):
                below += node(child)
        return struct.pack("<H", bits) + below

    return header("binary ", tree, cell) + node(tree)


def full_file(tree: Tree, cell: float, colour: bool = False) -> bytes:
    """.ot"""

    def node(found: Tree) -> bytes:
        inner = isinstance(found, list)
        start = struct.pack("<f", 0.5 if inner else found) + (b"\1\2\3" if colour else b"")
        if not inner:
            return start + b"\0"
        there = sum(1 << number for number, child in enumerate(found) if child is not None)
        return start + bytes([there]) + b"".join(node(child) for child in found if child is not None)

    return header("", tree, cell, "ColorOcTree" if colour else "OcTree") + (node(tree) if tree is not None else b"")
