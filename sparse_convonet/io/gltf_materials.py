"""The colours of glTF primitives at their vertices: COLOR_0, and the factors and textures of materials."""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from sparse_convonet.io.gltf_document import GltfDocument
from sparse_convonet.runtime.refusals import damaged, one_line

_SPECULAR = "KHR_materials_pbrSpecularGlossiness"
_WEBP, _BASIS, _TRANSFORM = "EXT_texture_webp", "KHR_texture_basisu", "KHR_texture_transform"

logger = logging.getLogger(__name__)


class MaterialColours:
    """Colours as the file has them, without a change of colour space: a factor of 0.5 and a byte of 128 are alike."""

    def __init__(self, document: GltfDocument) -> None:
        self._document = document
        self._pictures: dict[int, np.ndarray | None] = {}
        self.are_readable = True  # until a texture is not

    def of(self, primitive: dict[str, Any], vertices: int) -> np.ndarray | None:
        """(V, 3) uint8 of a primitive's vertices, None where nothing says their colour.

        Raises ValueError for damaged pictures.  Those that are missing, too large or of another format leave the colours
        of the file out, which is logged.
        """
        attributes, material = primitive["attributes"], {}
        if "material" in primitive:
            material = self._document.list_of("materials")[primitive["material"]]
        factor, texture = _base_colour(material)
        if "COLOR_0" not in attributes and factor is None and texture is None:
            return None
        colours = np.ones((vertices, 3))
        if "COLOR_0" in attributes:
            given = self._document.accessor(attributes["COLOR_0"])[:, :3]
            colours *= given / (np.iinfo(given.dtype).max if given.dtype.kind in "iu" else 1)
        if factor is not None:
            colours *= np.array(factor, dtype=np.float64)[:3]
        if texture is not None and self.are_readable:
            drawn = self._textured(attributes, texture)
            if drawn is not None:
                colours *= drawn
        return np.clip(np.rint(np.nan_to_num(colours) * 255), 0, 255).astype(np.uint8)

    def _textured(self, attributes: dict[str, Any], texture: dict[str, Any]) -> np.ndarray | None:
        """(V, 3) of 0 to 1 where the vertices lie on the texture; None where they lie nowhere on it."""
        moved = texture.get("extensions", {}).get(_TRANSFORM, {})
        name = f"TEXCOORD_{moved.get('texCoord', texture.get('texCoord', 0))}"
        if name not in attributes:
            return None
        uv = self._document.accessor(attributes[name]).astype(np.float64)[:, :2]
        if moved:
            angle, scale = moved.get("rotation", 0.0), np.array(moved.get("scale", (1, 1)), dtype=np.float64)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            uv = (uv * scale) @ turn.T + np.array(moved.get("offset", (0, 0)), dtype=np.float64)
        picture = self._picture(texture["index"])
        if picture is None:
            return None
        uv = np.where((uv >= 0) & (uv <= 1), uv, np.nan_to_num(uv - np.floor(uv)))  # textures repeat
        height, width = picture.shape[:2]
        column, row = np.clip((uv * (width, height)).astype(np.int64), 0, (width - 1, height - 1)).T
        return picture[row, column] / 255.0

    def _picture(self, texture: int) -> np.ndarray | None:
        """(height, width, 3) uint8, None where it cannot be read."""
        found = self._document.list_of("textures")[texture]
        extensions = found.get("extensions", {})
        source = extensions.get(_WEBP, {}).get("source", found.get("source"))
        if source is None:
            self._leave_out(f"{_BASIS} is not read" if _BASIS in extensions else "it names no picture")
            return None
        if source not in self._pictures:
            self._pictures[source] = self._decoded(self._document.list_of("images")[source])
        return self._pictures[source]

    def _decoded(self, image: dict[str, Any]) -> np.ndarray | None:
        document = self._document
        try:
            content = document.resource(image["uri"]) if "uri" in image else document.view(image["bufferView"])
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content)) as picture:
                    return np.asarray(picture.convert("RGB"))
        except (FileNotFoundError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            self._leave_out(one_line(str(error)))
        except UnidentifiedImageError:
            self._leave_out("it is no picture of a known format")
        except (OSError, SyntaxError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the disk, and not of a picture
                raise
            raise damaged(document.path, f"a {document.path.suffix.lower()} mesh", error) from error
        return None

    def _leave_out(self, reason: str) -> None:
        logger.warning("%s: colours left out, since a texture cannot be read (%s)", self._document.path, reason)
        self.are_readable = False


def _base_colour(material: dict[str, Any]) -> tuple[list[float] | None, dict[str, Any] | None]:
    """The factor and the texture that give a material its colour, None where it names none."""
    metallic = material.get("pbrMetallicRoughness", {})
    specular = material.get("extensions", {}).get(_SPECULAR, {})
    factor = metallic.get("baseColorFactor", specular.get("diffuseFactor"))
    return factor, metallic.get("baseColorTexture", specular.get("diffuseTexture"))
