"""What every command line tool shares: bad input and being stopped become one clear sentence and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from sparse_convonet.runtime.refusals import without_breaks

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_TERMINATED = 143  # 128 + SIGTERM
_AGAIN_S = 0.02

logger = logging.getLogger(__name__)


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever cleans up after Ctrl-C does so after this too."""


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the clearing up
    raise Terminated


# Python's own handlers, and that of run_tool.
_REPLACEABLE = {signal.SIGINT: (signal.default_int_handler,), signal.SIGTERM: (signal.SIG_DFL, _raise_terminated)}


@contextmanager
def starting() -> Iterator[None]:
    """For the imports of a tool: Ctrl-C and SIGTERM end the process at once with their codes and one sentence.

    An exception would not do: it can come up anywhere within an import, and be taken for a missing package there.
    Handlers other than Python's own and that of run_tool stay.  Workers, which import the tool of their parent too, leave
    Ctrl-C to it.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        if _is_worker():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            handlers = {number: signal.getsignal(number) for number in _REPLACEABLE}
            before = {number: own for number, own in handlers.items() if own in _REPLACEABLE[number]}
    for number in before:
        signal.signal(number, _end_at_once)
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)


def _is_worker() -> bool:
    """Whether multiprocessing started this process, by then having imported its own modules."""
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.current_process().name != "MainProcess"


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    word, code = ("interrupted", EXIT_INTERRUPTED) if number == signal.SIGINT else ("terminated", EXIT_TERMINATED)
    os.write(2, f"error: {word} while starting; nothing has been done\n".encode("ascii"))
    os._exit(code)


def run_tool(main: Callable[[list[str] | None], int | None], arguments: list[str] | None = None) -> NoReturn:
    """Call `main(arguments)` (None: the command line) and exit with what it returns (None counts as 0).

    ValueError, OSError and running out of memory print `error: <one sentence>` to stderr and exit with code 2,
    Ctrl-C exits with 130, SIGTERM with 143.  Every other exception is a fault of the program and keeps its traceback,
    which logging at level DEBUG shows for the caught ones too.
    """
    try:
        with _terminated_as_interrupted(), _not_to_be_ignored():
            code = main(arguments) or 0
    except KeyboardInterrupt as stop:
        _exit_stopped(stop, is_last=arguments is None)
    except (ValueError, OSError, MemoryError, RuntimeError, ImportError, SystemError) as error:
        if (behind := _stop_behind(error)) is not None:
            _exit_stopped(behind, is_last=arguments is None)
        if isinstance(error, (ImportError, SystemError)) or (
            isinstance(error, RuntimeError) and not _is_out_of_memory(error)
        ):
            raise
        logger.debug("the tool stopped", exc_info=True)
        _exit(_sentence(error), EXIT_BAD_INPUT)
    finally:
        if arguments is None and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left but Python's own end: no traceback of that
    sys.exit(code)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises Terminated, unless the caller of the tool or the tool itself chose otherwise."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _not_to_be_ignored() -> Iterator[None]:
    """Send Ctrl-C and SIGTERM again where Python had to ignore their exceptions.

    They come up between any two instructions; in a destructor, or in what a C library calls, nobody can catch them.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    former = sys.unraisablehook

    def again(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            former(unraisable)
            return
        number = signal.SIGTERM if issubclass(unraisable.exc_type, Terminated) else signal.SIGINT
        signal.signal(number, handlers[number])
        later = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number))
        later.daemon = True
        later.start()

    if threading.current_thread() is threading.main_thread():
        sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = former


def _stop_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The Ctrl-C or SIGTERM that an error was made of: compiled modules that are stopped while they load say ImportError,
    and who imports them perhaps that they are not installed."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _exit_stopped(stop: KeyboardInterrupt, *, is_last: bool) -> NoReturn:
    """is_last: nothing but Python's own end comes after it."""
    if is_last:
        sys.unraisablehook = lambda unraisable: None  # destructors of what was half made, such as tqdm's
    was_terminated = isinstance(stop, Terminated)
    word = "terminated" if was_terminated else "interrupted"
    code = EXIT_TERMINATED if was_terminated else EXIT_INTERRUPTED
    _exit(f"{word}; nothing that was being written has been kept", code)


def _exit(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {sentence}\n")
    sys.exit(code)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """torch reports a lack of memory as a RuntimeError, on CUDA as its own subclass."""
    text = str(error)
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text or "out of memory" in text


def _sentence(error: Exception) -> str:
    """The error's own message on one line; for errors of the operating system, what they mean."""
    if isinstance(error, (MemoryError, RuntimeError)):
        return "out of memory; use a larger voxel size, fewer points or smaller tiles"
    if isinstance(error, OSError) and error.errno is not None:
        # Errors raised in this package carry a sentence; those of the system a number, a phrase and a file name.
        name = str(error.filename) if error.filename is not None else None
        if name is not None:
            return _system_sentence(error.errno, name, error.strerror or "")
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and "while writing" not in (error.strerror or ""):
            return "disk full; free some space or choose another folder"
        return without_breaks(error.strerror or str(error))
    return without_breaks(str(error)) or type(error).__name__


def _system_sentence(number: int, name: str, phrase: str) -> str:
    sentences = {
        errno.ENOENT: f"{name} does not exist; check the path",
        errno.EACCES: f"no permission to open {name}; check its owner and mode",
        errno.EPERM: f"no permission to open {name}; check its owner and mode",
        errno.EISDIR: f"{name} is a folder, expected a file; name a file in it",
        errno.ENOTDIR: f"{name}: a part of the path is a file, expected a folder; name another one",
        errno.EROFS: f"{name} lies on a read-only disk; choose another folder",
        errno.ENOSPC: f"disk full while writing {name}; free some space or choose another folder",
        errno.EDQUOT: f"disk quota used up while writing {name}; free some space or choose another folder",
    }
    return sentences.get(number, f"{name}: {without_breaks(phrase)}")
