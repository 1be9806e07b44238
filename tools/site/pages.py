"""Pages of the site that do not lie in docs/ as Markdown: README.md (Home), CONTRIBUTING.md, CHANGELOG.md, notebooks.

mkdocs calls the functions (mkdocs.yml, `hooks`); https://www.mkdocs.org/user-guide/configuration/#hooks.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
OF_THE_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)((?:#[^)\s]*)?)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages; each notebook stays beside its page, to be downloaded."""
    for source, page in OF_THE_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook_page(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links that lead from file to file of the repository to the pages of the site."""
    from_root = page.file.src_uri in OF_THE_ROOT.values()
    is_notebook = page.file.src_uri.startswith("notebooks/")
    return _LINK.sub(lambda link: f"]({_target(link[1], from_root, is_notebook)}{link[2]})", markdown)


def notebook_page(path: Path) -> str:
    """The cells of a notebook as Markdown, code in fences, outputs left out, and a link to the file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [_cell_text(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join([parts[0], f"[The notebook]({path.name})", *parts[1:]]) + "\n"


def _cell_text(kind: str, text: str) -> str:
    return f"```python\n{text}\n```" if kind == "code" else text


def _target(link: str, from_root: bool, is_notebook: bool) -> str:
    """Where a link leads on the site.  from_root: the page's source lies in the root of the repository, not in docs/."""
    if from_root:
        link = link.removeprefix("docs/")
    if is_notebook:
        return link
    link = link.removeprefix("../")
    link = OF_THE_ROOT.get(link, link)
    return re.sub(r"\.ipynb$", ".md", link) if link.startswith("notebooks/") else link
