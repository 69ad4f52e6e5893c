"""What this machine has for training, and what is wrong with it."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from pkgutil import resolve_name

from .. import __version__
from ..engines.private_files import is_distrust
from ..exceptions import DeviceError

_MISSING = "not installed"
# What cannot be missing, beside numba; the shell and models for tables need the last ones.
_IMPORTED = "numpy", "scipy", "sklearn", "threadpoolctl", "tqdm", "click", "pandas", "skops"
# What numba-cuda compiles and links with.
_TOOLCHAIN = (
    "cuda-bindings", "cuda-core", "nvidia-nvvm", "nvidia-cuda-nvrtc", "nvidia-nvjitlink",
    "nvidia-cuda-runtime",
)  # fmt: skip


def examine() -> tuple[dict[str, str], list[str]]:
    """Collect facts about processor, threads, compiled code, GPU and versions.

    Returns
    -------
    facts : dict of str to str
    problems : list of str
        What does not work, with its remedy.
    """
    facts = {"processor": f"{platform.machine()}, {os.cpu_count()} cores"}
    problems: list[str] = []
    for look in (_engine, _compiled_code, _gpu):
        try:
            look(facts, problems)
        except Exception as error:  # a broken installation may raise anything
            kind = "" if isinstance(error, DeviceError) else f"{type(error).__name__}: "
            problem = f"{kind}{_one_line(error)}"
            if problem not in problems:
                problems.append(problem)
    facts["python"] = f"{platform.python_version()}, {sys.platform}"
    facts["fastmlp"] = __version__
    for package in ("numba", "numpy", "scipy", "scikit-learn", "numba-cuda"):
        facts[package] = _version(package)
    if facts["numba-cuda"] != _MISSING:
        facts |= {package: _version(package) for package in _TOOLCHAIN}
    problems += filter(None, map(_why_not_importable, _IMPORTED))
    problems += [
        f"{path} is imported instead of the module of that name; rename it" for path in _namesakes()
    ]
    return facts, problems


def _engine(facts: dict[str, str], problems: list[str]) -> None:
    """Describe the processor, and what the CPU engine makes of it."""
    from ..engines.cpu.threads import default_n_threads, why_no_more
    from ..engines.cpu.vector_unit import HOST, cpu_name

    facts["processor"] = f"{cpu_name()}, {os.cpu_count()} cores, {platform.machine()}"
    fma = "with" if HOST.has_fma else "without"
    facts["vectors"] = f"{8 * HOST.n_bytes} bits, {fma} fused multiply-add"
    facts["threads"] = f"{default_n_threads()} ({why_no_more()})"
    facts["threading layer"] = "none needed: fastmlp has threads of its own"


def _compiled_code(facts: dict[str, str], problems: list[str]) -> None:
    """Say where compiled code comes from and is kept, or why it is not."""
    from ..engines.cpu import library
    from ..engines.cpu.catalogue import DTYPES
    from ..engines.cpu.vector_unit import LEVEL

    library.require_level()
    level = LEVEL or "this processor"
    if library.is_just_in_time():
        reasons = ["FASTMLP_JIT is set, so that every process compiles anew"]
    else:
        reasons = [reason for d in DTYPES if (reason := library.why_not_from_package(d))]
    facts["compiled code"] = (
        f"for {level}, compiled on this machine: {reasons[0]}"
        if reasons
        else f"for {level}, from the package"
    )
    _cache_folder(facts, problems, is_needed=bool(reasons) and not library.is_just_in_time())
    if reasons:
        from ..engines._numba import require_compiler, slow_settings

        require_compiler()
        if settings := slow_settings():
            problems.append(f"compiled code is slow, by {' and '.join(settings)}; unset that")


def _cache_folder(facts: dict[str, str], problems: list[str], is_needed: bool) -> None:
    """Say where compiled code is kept; where it `is_needed` and is not, that is a problem."""
    from ..engines.cpu.objects import cache_folder, refused
    from ..engines.kernel_cache import distrusted_files, is_switched_on

    folder = cache_folder()
    if folder is None:
        facts["cache folder"] = "none" if is_switched_on() else "off (FASTMLP_CACHE=0)"
        if is_needed and is_switched_on():
            problems.append(_why_no_cache(refused))
        return
    facts["cache folder"] = folder
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    for other, error in refused.items():
        if chosen and other.startswith(os.path.abspath(chosen)):
            problems.append(f"NUMBA_CACHE_DIR is not used: {_remedy(other, error)}")
        elif is_distrust(error):
            facts["cache folder"] += f" ({error})"
    if files := distrusted_files(folder):
        problems.append(
            f"{len(files)} files of compiled code are not read: {files[0]}; remove them"
        )
    if is_needed and (reason := _why_no_fingerprint()):
        problems.append(reason)


def _gpu(facts: dict[str, str], problems: list[str]) -> None:
    """Describe the GPU, or say why there is none to use."""
    from ..engines.cuda.support import BROKEN, describe, why_not

    reason = why_not()
    if reason.startswith(BROKEN):
        problems.append(reason)
    facts["GPU"] = describe() if not reason else f"not usable: {reason}"


def _why_no_cache(refused: dict[str, OSError]) -> str:
    """Why compiled code is not kept, with the remedy, where these folders were passed over."""
    distrusted = [_remedy(*item) for item in refused.items() if is_distrust(item[1])]
    why = f" ({distrusted[0]})" if distrusted else ""
    return (
        f"no folder for compiled code can be used{why}, so that every process compiles anew; "
        "set NUMBA_CACHE_DIR to a folder of your own"
    )


def _why_no_fingerprint() -> str:
    """Why compiled code cannot be told from that of other sources; empty where it can."""
    from ..engines.kernel_cache import fingerprint

    try:
        fingerprint("cpu")
    except RuntimeError as error:
        return f"every process compiles anew: {error}; install fastmlp as files"
    return ""


def _remedy(folder: str, error: OSError) -> str:
    """Say why a folder was passed over, and what to do."""
    if is_distrust(error):
        return f"{error}; remove the folder, or change its owner and permissions"
    return f"{error.strerror or error}: {folder}"


def _why_not_importable(package: str) -> str:
    """Why a package that fastmlp needs cannot be imported, with the remedy; else an empty text."""
    try:
        resolve_name(package)
    except Exception as error:  # a broken installation may raise anything
        name = {"sklearn": "scikit-learn"}.get(package, package)
        return (
            f"{package} cannot be imported ({type(error).__name__}: {_one_line(error)}); "
            f"pip install --force-reinstall {name}"
        )
    return ""


def _namesakes() -> list[Path]:
    """Find files that are imported instead of Python's modules and of what fastmlp needs.

    Python looks for modules in the current folder, or that of the program, before its own.
    """
    own = Path(os.__file__).parent
    names = {*sys.stdlib_module_names, *_IMPORTED, "numba", "llvmlite", "joblib", "fastmlp"}
    names -= {"threadpoolctl"}  # is one file itself
    found = []
    for folder in map(Path, sys.path):
        if folder.absolute() == own:
            break
        found += [path for name in sorted(names) if (path := folder / f"{name}.py").is_file()]
    return found


def _one_line(error: object) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 300 else words[:297] + "..."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _MISSING
