"""Feed one input to a reader and judge what came of it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import sysconfig
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.target import Target

CPU_LIMIT_S = 5.0
MEMORY_LIMIT_BYTES = 1 << 30  # beyond what was held before
_LONGEST_SENTENCE = 1000
_PACKAGE = Path(__file__).parents[2] / "sparse_convonet"
# Where Python and packages load modules and tables from when they are first used.
_INSTALLED = tuple(
    {
        *(os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), _PACKAGE)),
        *(sys.prefix, sys.base_prefix),
        "/proc/self",
        "/proc/meminfo",
        "/proc/cpuinfo",
        "/sys/",
        "/dev/null",
        "/etc/mime.types",
    }
)
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "subprocess.Popen",
              "socket.", "urllib.", "pickle.find_class", "shutil.", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
              "os.chmod", "os.symlink", "os.link", "os.truncate", "ftplib.", "http.client.", "webbrowser.")  # fmt: skip


class OverTime(BaseException):
    """The input took more time than it is allowed; no reader catches it."""


class Forbidden(BaseException):
    """The input made the reader do what no reader may; no reader catches it."""


@dataclass(frozen=True)
class Verdict:
    """fault: what went wrong, "" for nothing.  place: where, so that equal faults are told from others.

    outcome: "read" or "refused" where nothing is wrong.  detail: the message or the traceback.
    """

    outcome: str
    fault: str = ""
    place: str = ""
    detail: str = ""

    @property
    def signature(self) -> str:
        return f"{self.fault} at {self.place}"


class _Watch:
    """What the audit hook, which cannot be removed, looks at; it does nothing while `folder` is None."""

    folder: str | None = None
    free = False
    installed = False
    seen: str | None = None

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):
                return
            named = os.path.abspath(os.fsdecode(path))
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            inside = (os.path.realpath(named) + os.sep).startswith(self.folder + os.sep)
            if writes or not (inside or self.free or named.startswith(_INSTALLED)):
                self._refuse(f"open {mode!r} outside: {named}" if not writes else f"write {named}")
        elif event.startswith(_FORBIDDEN):
            self._refuse(event)

    def _refuse(self, what: str) -> None:
        self.seen = what  # also where someone catches the exception
        raise Forbidden(what)


_WATCH = _Watch()


@contextmanager
def sandbox(target: Target) -> Iterator[Sandbox]:
    """A folder, in memory where the machine has such, in which inputs of a target are read."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz", dir=memory if os.access(memory, os.W_OK) else None) as name:
        folder = Path(os.path.realpath(name)) / "folder"
        folder.mkdir()
        (folder.parent / "secret.yaml").write_text("secret: 1\n", encoding="utf-8")
        target.prepare(folder)
        yield Sandbox(target, folder)


class Sandbox:
    def __init__(self, target: Target, folder: Path, cpu_limit_s: float = CPU_LIMIT_S) -> None:
        self.target = target
        self.folder = folder
        self.file = folder / target.file
        self.cpu_limit_s = cpu_limit_s
        if not _WATCH.installed:
            sys.addaudithook(_WATCH.hook)
            _WATCH.installed = True

    def judge(self, content: bytes) -> Verdict:
        """Read one input; whatever it does but be read, or be refused in a sentence, is a fault."""
        self.file.write_bytes(content)
        held = _peak_bytes()
        error = self._read()
        grown = _peak_bytes() - held
        if isinstance(error, OverTime):
            return _fault("hang", error)
        if isinstance(error, Forbidden):
            return _fault(f"forbidden: {error}", error)
        if error is not None and not isinstance(error, (ValueError, OSError)):
            return _fault("memory" if isinstance(error, MemoryError) else type(error).__name__, error)
        if _WATCH.seen is not None:
            return Verdict("", f"forbidden: {_WATCH.seen}", "caught", str(error))
        if grown > MEMORY_LIMIT_BYTES:
            return Verdict("", "memory", "no exception", f"the process grew by {grown} bytes")
        return Verdict("read") if error is None else _judge_sentence(error)

    def _read(self) -> BaseException | None:
        """Call the reader under watch; what it raised."""
        former = signal.signal(signal.SIGPROF, _over_time)
        _WATCH.folder, _WATCH.free, _WATCH.seen = str(self.folder), self.target.free, None
        try:
            signal.setitimer(signal.ITIMER_PROF, self.cpu_limit_s)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", ResourceWarning)
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(?!sparse_convonet|tests)")
                self.target.read(self.folder, self.file)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  (what is not caught here would end the campaign)
            return error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            _WATCH.folder = None
            signal.signal(signal.SIGPROF, former)
        return None


def refusal_of(target: Target, content: bytes) -> str:
    """The sentence with which an input is refused; AssertionError where it is not."""
    with sandbox(target) as box:
        verdict = box.judge(content)
    assert verdict.outcome == "refused", f"{verdict.signature}\n{verdict.detail}"
    return verdict.detail


def _over_time(number: int, frame: FrameType | None) -> None:
    raise OverTime(f"signal {number}")


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _judge_sentence(error: ValueError | OSError) -> Verdict:
    """A refusal must be one line that a terminal can show."""
    text = str(error)
    if not text or not text.isprintable() or len(text) > _LONGEST_SENTENCE:
        return _fault(f"{type(error).__name__} without a sentence of one line", error)
    if isinstance(error, UnicodeError):
        return _fault(type(error).__name__, error)
    return Verdict("refused", detail=text)


def _fault(fault: str, error: BaseException) -> Verdict:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(str(_PACKAGE))]
    last, innermost = (ours or frames)[-1], frames[-1]
    place = f"{Path(last.filename).name}:{last.lineno} ({last.name})"
    if innermost is not last:
        place += f" in {Path(innermost.filename).name}:{innermost.name}"
    return Verdict("", fault, place, "".join(traceback.format_exception(error))[-6000:])
