"""A process that has imported what tools import, and forks to run them: a start takes no seconds then.

Reads one JSON object a line, {"tool", "arguments", "said", "watched", "die_at"}, and answers with the process's id when
it has begun and its exit status when it has ended; the line "end" ends it.  die_at: the process kills itself just before
it changes the folder `watched` for that many times.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

from tests.told_process import END

_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.utime", "os.chmod", "os.truncate")

_WITH_FOLDER = ("os.remove", "os.rmdir")  # the second argument is a descriptor of the folder, or -1


def kill_at_change(watched: Path, number: int) -> None:
    """SIGKILL to this process just before change `number` (1: the first) of anything in the folder."""
    left = [number]

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not writes and event not in _CHANGES:
            return
        if not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        place = Path.cwd()
        if event in _WITH_FOLDER and arguments[1] >= 0:  # as shutil.rmtree calls them
            place = Path(os.readlink(f"/proc/self/fd/{arguments[1]}"))
        if watched in (path := Path(os.path.abspath(place / os.fsdecode(arguments[0])))).parents or path == watched:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _run(request: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = [request["tool"], *request["arguments"]]
    if request["die_at"] is not None:
        kill_at_change(Path(request["watched"]), request["die_at"])
    runpy.run_path(request["tool"], run_name="__main__")


def main() -> None:
    """Serve until told to end, or stdin ends."""
    import sparse_convonet.data.sets.matterport_regions
    import sparse_convonet.data.sets.room_recipes
    import sparse_convonet.data.sets.scan_folder
    import sparse_convonet.data.sets.scannet
    import sparse_convonet.data.sets.watertight
    import sparse_convonet.evaluation.comparison_report
    import sparse_convonet.evaluation.data_set
    import sparse_convonet.scan.run  # noqa: F401

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    answers.write("ready\n")
    for line in sys.stdin:
        if line.strip() == END:
            break
        process = os.fork()
        if process == 0:
            answers.close()
            _run(json.loads(line))
            sys.exit(0)
        answers.write(f"{process}\n")
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}\n")


if __name__ == "__main__":
    main()
