"""See tests/small_pictures.py."""

from tests.small_pictures import _small_pictures  # noqa: F401
