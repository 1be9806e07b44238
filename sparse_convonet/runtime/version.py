"""The version of the package, as pyproject.toml and CITATION.cff have it."""

__version__ = "0.2.0"
