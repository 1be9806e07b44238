"""Damage within containers: their sums and lengths are made right again, so that readers get past them."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from tests.fuzz.mutations import LARGEST_BYTES, choose, draw, mutate_bytes

_RAW_SHARE = 0.2  # of inputs that are damaged as if there were no container
_NPY_MAGIC = b"\x93NUMPY"
_E57_PAGE, _E57_SUM, _E57_END = 1024, 4, b"</e57Root>"


def _raw(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes | None:
    return mutate_bytes(samples, words, rng) if rng.random() < _RAW_SHARE else None


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these members; the same bytes for the same members."""
    return zip_list(list(members.items()), method)


def zip_list(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of members with one name
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def mutate_zip(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Damage in one member; now and then a name, a member too few or too many, a bomb, or plain bytes."""
    raw = _raw(samples, words, rng)
    if raw is not None:
        return raw
    with zipfile.ZipFile(io.BytesIO(samples[draw(rng, len(samples))])) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = draw(rng, len(members))
    name, content = members[place]
    way = draw(rng, 20)
    body = content.find(b"\n") + 1
    if way < 8 and content.startswith(_NPY_MAGIC) and len(content) > body:  # numbers of an array, whose header stays
        damaged = mutate_bytes([content[body:]], (), rng)
        members[place] = (name, content[:body] + damaged[: len(content) - body].ljust(len(content) - body, b"\0"))
    elif way < 15:
        others = [content, *(other for _, other in members[:2])]
        members[place] = (name, mutate_bytes([content] if rng.random() < 0.9 else others, words, rng))
    elif way == 15:
        del members[place]
    elif way == 16:
        members.append((members[draw(rng, len(members))][0], content))
    elif way == 17:
        members[place] = (mutate_bytes([name.encode()], (), rng).decode("latin-1")[:200], content)
    elif way == 18:
        prefix = ("../", "/", "..\\", "C:/", "a/../../")[draw(rng, 5)]
        members[place] = (prefix + name, content)
    else:
        members[place] = (name, content + b"\0" * (1 << 22))
        return zip_list(members, zipfile.ZIP_DEFLATED)
    return zip_list(members, zipfile.ZIP_STORED if rng.random() < 0.8 else zipfile.ZIP_DEFLATED)


def glb(text: bytes, binary: bytes, kind: bytes = b"JSON") -> bytes:
    """A binary glTF of two chunks."""
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), kind) + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def mutate_glb(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    raw = _raw(samples, words, rng)
    if raw is not None:
        return raw
    data = samples[draw(rng, len(samples))]
    (length,) = struct.unpack_from("<I", data, 12)
    text, binary = data[20 : 20 + length], data[28 + length :]
    way = rng.random()
    if way < 0.5:
        text = mutate_json([text], words, rng)
    elif way < 0.75:
        text = mutate_bytes([text], words, rng)
    else:
        binary = mutate_bytes([binary], (), rng)
    return glb(text, binary)


def mutate_safetensors(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Damage in the header, and in the JSON texts within it."""
    raw = _raw(samples, words, rng)
    if raw is not None:
        return raw
    data = samples[draw(rng, len(samples))]
    (length,) = struct.unpack_from("<Q", data)
    text, body = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.3:
        text = mutate_bytes([text], words, rng)
    else:
        header = json.loads(text)
        name = ("config", "config", "config", "threshold", "record")[draw(rng, 5)]
        mutate = mutate_json if rng.random() < 0.7 else mutate_bytes
        header["__metadata__"][name] = mutate([header["__metadata__"][name].encode()], words, rng).decode("latin-1")
        text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


_ENTRIES = (
    b"null", b"true", b"-1", b"0", b"1", b"2", b"1.5", b"1000000000", b"2147483648", b"9223372036854775808",
    b"1" + b"0" * 30,
    b"1e308", b"NaN", b"Infinity", b'""', b'"x"', b'"nan"', b'"../secret.yaml"', b'"/etc/passwd"', b"[]", b"{}", b"[[]]",
    b"[" + b"0," * 99 + b"0]", b'{"a": 1}', b'["a"]', b'"a\\nb"', b'"\\u001b[2J"', b"[" * 200 + b"]" * 200,
)  # fmt: skip


def mutate_json(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """JSON with one to three of its values, at any depth, replaced, removed or nested."""
    try:
        content = json.loads(samples[draw(rng, len(samples))])
    except ValueError:
        return mutate_bytes(samples, words, rng)
    for _ in range(1 + draw(rng, 3)):
        parents: list[tuple[list | dict, int | str]] = []
        _collect(content, parents)
        if not parents:
            break
        parent, key = parents[draw(rng, len(parents))]
        way = draw(rng, 8)
        if way == 0:
            del parent[key]  # type: ignore[arg-type]
        elif way == 1:
            parent[key] = [json.loads(json.dumps(parent[key]))]  # type: ignore[index, call-overload]
        elif way == 2 and isinstance(parent, dict):
            parent["odd"] = json.loads(json.dumps(parent[key]))  # type: ignore[index]
        elif way == 3 and words:
            parent[key] = words[draw(rng, len(words))].decode("latin-1")  # type: ignore[index, call-overload]
        else:
            parent[key] = json.loads(choose(rng, _ENTRIES))  # type: ignore[index, call-overload]
    return json.dumps(content).encode()[:LARGEST_BYTES]


def _collect(content: object, found: list) -> None:
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        found.append((content, key))
        _collect(value, found)


def _castagnoli_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _castagnoli_table()


def _castagnoli(data: bytes) -> int:
    """CRC-32C, the sum of E57's pages."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def mutate_e57(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Damage in the content of the pages, mostly in the XML at their end; changed pages get their sums again."""
    raw = _raw(samples, words, rng)
    if raw is not None:
        return raw
    data = samples[draw(rng, len(samples))]
    size = _E57_PAGE - _E57_SUM
    pages = [data[at : at + size] for at in range(0, len(data), _E57_PAGE)]
    sums = [data[at + size : at + _E57_PAGE] for at in range(0, len(data), _E57_PAGE)]
    content = b"".join(pages)
    start, end = content.find(b"<?xml"), content.find(_E57_END) + len(_E57_END)
    if rng.random() < 0.7:  # the damaged text goes to the end, and the header says so
        text = mutate_bytes([content[start:end]], words, rng)
        content = content.ljust(-(-len(content) // size) * size, b"\0")
        place = len(content) // size * _E57_PAGE
        total = place + -(-len(text) // size) * _E57_PAGE
        content = content[:16] + struct.pack("<QQQ", total, place, len(text)) + content[40:] + text
    else:
        content = mutate_bytes([content], words, rng)
    out = []
    for index, at in enumerate(range(0, len(content), size)):
        page = content[at : at + size].ljust(size, b"\0")
        same = index < len(pages) and page == pages[index]
        out.append(page + (sums[index] if same else struct.pack(">I", _castagnoli(page))))
    return b"".join(out)


def mutate_png(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Damage in one chunk of a PNG, whose sum is made right again."""
    data = samples[draw(rng, len(samples))]
    raw = None if data.startswith(b"\x89PNG") else mutate_bytes([data], words, rng)
    raw = raw or _raw(samples, words, rng)
    if raw is not None:
        return raw
    chunks = []
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append(data[at + 4 : at + 8 + length])
        at += 12 + length
    place = draw(rng, len(chunks))
    kind, body = chunks[place][:4], chunks[place][4:]
    body = mutate_bytes([body or b"\0"], (), rng)
    chunks[place] = kind + body
    return data[:8] + b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
