"""Every command on the pages is one that its parser reads, and the checker sees those that are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sparse_convonet.commands.listing import COMMANDS
from tests.docs.command_lines import wrong_lines
from tests.docs.pages import ROOT, Page, documentation, parse_page, shell_words

PAGES = documentation()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_commands_of_a_page_are_read_by_their_parsers(page: Page) -> None:
    assert wrong_lines(page) == []


def test_there_are_commands_to_check() -> None:
    lines = [line for page in PAGES for _, line in page.shell_lines()]
    assert sum("sparse-convonet " in line for line in lines) > 60
    assert any("tools/train.py CONFIG" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("    sparse-convonet reconstruct scan.laz --out out --voxel-sise 0.1", "unknown arguments --voxel-sise"),
        ("```bash\nsparse-convonet reconstruct scan.laz\n```", "expected --out, which must be given"),
        ("    sparse-convonet reconstruct a.ply --out b --engine fast", "found 'fast'"),
        ("    sparse-convonet recontruct a.ply --out b", "no command recontruct"),
        ("    sparse-convonet data room --out b", "no command data room"),
        ("use `sparse-convonet validate --side`s", ""),  # an abbreviation that argparse takes
        ("use `sparse-convonet validate --wrong`", "unknown arguments --wrong"),
        ("    sparse-convonet train configs/rooms/sparse64.yaml --set data.foldr=x", "foldr"),
        ("    torchrun --nproc_per_node=2 tools/train.py CONFIG \\\n        --ot x", "unknown arguments --ot"),
        ("    python tools/no_such.py", "no tools/no_such.py"),
        ("    a && python -m sparse_convonet score a.ply b.ply --cm 3", "unknown arguments --cm"),
        ("    python tools/fit_voxel_sizes.py --minute 3", "unrecognized arguments: --minute"),
        ("    python -m tests.benchmarks --only sizes nothing --quickly", "unrecognized arguments: --quickly"),
        ("    python -m tests.benchmarks --only nothing", "invalid choice: 'nothing'"),
        ("    make demonstration", "the Makefile has no target demonstration"),
        ("    make gpu MINUTS=3", "the Makefile has no variable MINUTS"),
    ],
)
def test_the_checker_finds_what_no_parser_reads(text: str, message: str) -> None:
    found = wrong_lines(parse_page(Path("x.md"), text))
    assert found == [] if not message else any(message in each for each in found), found


@pytest.mark.parametrize(
    "text",
    [
        "    sparse-convonet reconstruct scan.laz --out out/hall        # a comment, isn't it",
        "    sparse-convonet reconstruct scan.laz --out out [--formats ply]",
        "`sparse-convonet compare`, `sparse-convonet data rooms`, `sparse-convonet reconstruct --page`",
        "    sparse-convonet data rooms --out x --count COUNT\n\n    make fuzz COUNT=2000 | tee log",
        "    python -m tests.benchmarks --only NAME\n    tools/train.py CONFIG --out runs/x --resume",
        "- a list\n    with a line that goes on, make demonstration",
        "```python\nmake = demonstration\n```",
    ],
)
def test_the_checker_lets_pass_what_is_right(text: str) -> None:
    assert wrong_lines(parse_page(Path("x.md"), text)) == []


def test_the_page_of_commands_has_a_row_for_each_with_its_script() -> None:
    text = (ROOT / "docs" / "COMMANDS.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert re.search(rf"^\| `{command.name}[ `][^|]*\| `{command.tool}\.py` \| \S", text, re.M), command.name


def test_a_line_is_taken_apart_as_a_shell_does() -> None:
    assert shell_words('srun a "b c" & d; e > f # g') == [["srun", "a", "b c"], ["d"], ["e"], ["f"]]
