"""OctoMap files: .bt, which leaves are occupied, and .ot, how likely each is (Hornung et al. 2013; octomap.github.io).

A tree has 16 levels below its root; a leaf of level d covers a cube of 2^(16 - d) cells.  After a header in ASCII, nodes
follow in depth-first order, children in the order of x + 2 y + 4 z.  In .bt a node with children is 16 bits, two for each
child: 0 unknown, 1 a free leaf, 2 an occupied leaf, 3 a node.  In .ot every node is the logarithm of its odds (and a
colour, in colour trees) and a byte that says which children there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.runtime.numba_cache import njit
from sparse_convonet.runtime.refusals import require_file, unreadable
from sparse_convonet.structures import OccupiedCells

MOST_CELLS = 1 << 26
_LEVELS = 16
_MOST_NODES = 1 << 62  # in a header; numbers beyond it are no numbers of nodes
_HALF = 1 << (_LEVELS - 1)  # the cell at the origin
_MAX_LINE_BYTES, _MAX_HEADER_LINES = 256, 64
_BINARY, _FULL = b"# Octomap OcTree binary file", b"# Octomap OcTree file"
_NODE_BYTES = {b"OcTree": 4, b"ColorOcTree": 7}  # of a node in .ot, before the byte of its children
_SOUND, _TRUNCATED, _TOO_DEEP, _NOT_A_NUMBER = 0, 1, 2, 3
_FAULTS = {_TRUNCATED: "fewer bytes", _TOO_DEEP: "more than 16 levels", _NOT_A_NUMBER: "odds that are no number"}


@dataclass(frozen=True)
class _Header:
    binary: bool
    node_bytes: int
    nodes: int
    cell: float


def read_octomap(path: Path) -> OccupiedCells:
    """The occupied cells of a map, z up, in metres: of .ot those whose probability is at least a half.

    Raises FileNotFoundError, or ValueError in one sentence for another or a damaged file, one without occupied cells, and
    one of more than MOST_CELLS.
    """
    require_file(path)
    with path.open("rb") as file:
        header = _read_header(path, file)
        content = np.frombuffer(file.read(), dtype=np.uint8)
    none = np.zeros((0, 4), dtype=np.int64)
    walk = _walk_binary if header.binary else _walk_full
    nodes, leaves, used, fault = walk(content, header.node_bytes, header.nodes, none, False)
    if fault != _SOUND:
        raise unreadable(path, "the nodes of an OctoMap", _FAULTS[fault])
    if nodes != header.nodes or used != len(content):
        raise unreadable(path, f"{header.nodes} nodes and nothing more", f"{nodes}, and {len(content) - used} bytes")
    found = np.empty((leaves, 4), dtype=np.int64)
    walk(content, header.node_bytes, header.nodes, found, True)
    return OccupiedCells(_expanded(path, found), header.cell, (0.0, 0.0, 0.0))


def _read_header(path: Path, file: BinaryIO) -> _Header:
    first = file.readline(_MAX_LINE_BYTES).rstrip()
    if not first.startswith((_BINARY, _FULL)):
        raise unreadable(path, "an OctoMap file (.bt or .ot)", "another beginning")
    words: dict[bytes, bytes] = {}
    for _ in range(_MAX_HEADER_LINES):
        line = file.readline(_MAX_LINE_BYTES)
        key, _, value = line.strip().partition(b" ")
        if key == b"data" or not line.endswith(b"\n"):
            break
        words[key] = value.strip()
    tree = words.get(b"id", b"")
    try:
        nodes, cell = int(words.get(b"size", b"")), float(words.get(b"res", b""))
    except ValueError:
        nodes, cell = -1, math.nan
    if key != b"data" or not 0 <= nodes < _MOST_NODES or not (0 < cell < math.inf):
        raise unreadable(path, "lines with id, size, res and data before the nodes", "an incomplete header")
    if tree not in _NODE_BYTES:
        raise unreadable(path, "a tree of the kind OcTree or ColorOcTree", tree.decode("ascii", "replace") or "none")
    return _Header(first.startswith(_BINARY), _NODE_BYTES[tree], nodes, cell)


def _expanded(path: Path, leaves: np.ndarray) -> np.ndarray:
    """(V, 3) int64 cells of leaves (N, 4): their lowest cell, and how many cells along a side."""
    counts = leaves[:, 3] ** 3
    total = sum(counts.tolist())
    if not 0 < total <= MOST_CELLS:
        raise unreadable(path, f"1 to {MOST_CELLS} occupied cells", f"{total}")
    leaf = np.repeat(np.arange(len(leaves)), counts)
    place = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    side = leaves[leaf, 3]
    offset = np.stack([place % side, place // side % side, place // side**2], axis=1)
    return leaves[leaf, :3] + offset - _HALF


@njit(cache=True)
def _walk_binary(content, node_bytes, nodes_expected, leaves, fill):  # type: ignore[no-untyped-def]
    """How many nodes and occupied leaves there are, how many bytes they take, and what is wrong; `fill` writes leaves."""
    words = np.zeros(_LEVELS, dtype=np.int64)
    child = np.zeros(_LEVELS, dtype=np.int64)
    lowest = np.zeros((_LEVELS + 1, 3), dtype=np.int64)
    if nodes_expected == 0:
        return 0, 0, 0, _SOUND
    if len(content) < 2:
        return 0, 0, 0, _TRUNCATED
    place, nodes, found, depth = 2, 1, 0, 0
    words[0] = np.int64(content[0]) | np.int64(content[1]) << 8
    while depth >= 0:
        number = child[depth]
        if number == 8:
            depth -= 1
            continue
        child[depth] = number + 1
        kind = words[depth] >> (2 * number) & 3
        if kind == 0:
            continue
        nodes += 1
        side = np.int64(1) << (_LEVELS - 1 - depth)
        for axis in range(3):
            lowest[depth + 1, axis] = lowest[depth, axis] + (number >> axis & 1) * side
        if kind == 2:
            if fill:
                leaves[found, :3] = lowest[depth + 1]
                leaves[found, 3] = side
            found += 1
        elif kind == 3:
            if depth == _LEVELS - 1:
                return nodes, found, place, _TOO_DEEP
            if place + 2 > len(content):
                return nodes, found, place, _TRUNCATED
            depth += 1
            words[depth] = np.int64(content[place]) | np.int64(content[place + 1]) << 8
            child[depth] = 0
            place += 2
    return nodes, found, place, _SOUND


@njit(cache=True)
def _walk_full(content, node_bytes, nodes_expected, leaves, fill):  # type: ignore[no-untyped-def]
    """As _walk_binary, of nodes with odds."""
    children = np.zeros(_LEVELS + 1, dtype=np.int64)
    child = np.zeros(_LEVELS + 1, dtype=np.int64)
    lowest = np.zeros((_LEVELS + 1, 3), dtype=np.int64)
    place, nodes, found, depth = 0, 0, 0, 0
    entering = nodes_expected > 0
    if not entering:
        return 0, 0, 0, _SOUND
    while depth >= 0:
        if entering:
            if place + node_bytes + 1 > len(content):
                return nodes, found, place, _TRUNCATED
            odds = content[place : place + 4].copy().view(np.float32)[0]
            if np.isnan(odds):
                return nodes, found, place, _NOT_A_NUMBER
            children[depth] = content[place + node_bytes]
            child[depth] = 0
            place += node_bytes + 1
            nodes += 1
            if children[depth] == 0 and odds >= 0:
                if fill:
                    leaves[found, :3] = lowest[depth]
                    leaves[found, 3] = np.int64(1) << (_LEVELS - depth)
                found += 1
            if children[depth] != 0 and depth == _LEVELS:
                return nodes, found, place, _TOO_DEEP
            entering = False
        number = child[depth]
        if number == 8:
            depth -= 1
            continue
        child[depth] = number + 1
        if children[depth] >> number & 1:
            side = np.int64(1) << (_LEVELS - 1 - depth)
            for axis in range(3):
                lowest[depth + 1, axis] = lowest[depth, axis] + (number >> axis & 1) * side
            depth += 1
            entering = True
    return nodes, found, place, _SOUND
