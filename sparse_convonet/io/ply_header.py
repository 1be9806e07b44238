"""The header of a PLY file: its elements, their properties, and where the body begins."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sparse_convonet.runtime.refusals import unreadable

KIND = "a PLY file"
SCALARS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass
class Property:
    name: str
    kind: str  # numpy type without byte order
    length_kind: str | None = None  # numpy type of the length of a list, None for a scalar


@dataclass
class Element:
    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        return any(item.length_kind for item in self.properties)


def parse_header(path: Path, content: bytes) -> tuple[str, list[Element], int]:
    """(byte order, elements, offset of the body)."""
    if not re.match(rb"ply[ \t]*[\r\n]", content):
        raise unreadable(path, f"{KIND} (first line 'ply')", f"{content[:12]!r}")
    # The body of a binary file may begin with the byte of a line end, so the header's own line end decides.
    end = re.search(rb"[\r\n]end_header[ \t]*(\r\n|\n|\r)", content[: 1 << 20])
    if end is None:
        raise unreadable(path, KIND, "no line 'end_header'")
    start = end.end()
    if end.group(1) == b"\r\n" and b"\r\n" not in content[: end.start() + 1]:
        start -= 1
    order, elements = None, []
    for line in content[: end.start()].decode("latin-1").splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        try:
            if words[0] == "format":
                order = ORDERS[words[1]]
            elif words[0] == "element":
                elements.append(Element(words[1], int(words[2])))
            elif words[0] == "property" and words[1] == "list":
                length_kind = SCALARS[words[2]]
                if length_kind[0] == "f":
                    raise ValueError("a list has a whole number of entries")
                elements[-1].properties.append(Property(words[4], SCALARS[words[3]], length_kind))
            elif words[0] == "property":
                elements[-1].properties.append(Property(words[2], SCALARS[words[1]]))
            else:
                raise KeyError(words[0])
        except (KeyError, IndexError, ValueError) as error:
            raise unreadable(path, f"{KIND} header", f"the line {line!r}") from error
        if elements and elements[-1].count < 0:
            raise unreadable(path, f"{KIND} header", f"the negative count {line!r}")
    if order is None:
        raise unreadable(path, f"{KIND} header", "no line 'format'")
    return order, elements, start
