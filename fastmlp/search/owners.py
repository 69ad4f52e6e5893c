"""Which process runs a trial, and whether it is still there."""

import os
import socket
import time
from pathlib import Path
from typing import Any

# A process of another machine that has given no sign for so long is taken for dead.
_SECONDS_WITHOUT_SIGN = 3600
# How often a running trial gives a sign.
SECONDS_BETWEEN_SIGNS = 600

# The searches that run in this process.
_running: set[str] = set()


def begin(search: str) -> None:
    """Note that a search runs in this process.

    Parameters
    ----------
    search : str
        A name that no other search has.
    """
    _running.add(search)


def end(search: str) -> None:
    """Note that a search has ended, whatever it has left behind."""
    _running.discard(search)


def sign_of(search: str) -> dict[str, Any]:
    """Return what tells others who runs a trial, and when that was known last.

    Parameters
    ----------
    search : str

    Returns
    -------
    dict
    """
    return {
        "machine": _machine(),
        "process": os.getpid(),
        "started": _started(os.getpid()),
        "search": search,
        "seen": time.time(),
    }


def is_gone(owner: Any) -> bool:
    """Tell whether nobody runs a trial any more.

    Parameters
    ----------
    owner : dict or None
        The last sign of who ran it.

    Returns
    -------
    bool
    """
    if not owner:
        return True
    if owner["machine"] != _machine():
        return bool(time.time() - owner["seen"] > _SECONDS_WITHOUT_SIGN)
    if owner["process"] == os.getpid() and owner["started"] == _started(os.getpid()):
        return owner["search"] not in _running
    return not _is_alive(owner["process"]) or owner["started"] != _started(owner["process"])


def _machine() -> str:
    """Return what tells a machine, or a container that sees its own processes, from others."""
    parts = [socket.gethostname()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8],
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        try:
            parts.append(read())
        except OSError:  # only Linux has these
            continue
    return " ".join(parts)


def _started(process: int) -> str:
    """Return when a process was started, since numbers of processes are given again; '' unknown."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # a signal would end it there
        import ctypes

        query, still_active = 0x1000, 259
        kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 (mypy of other systems)
        handle = kernel.OpenProcess(query, False, process)
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == still_active
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
