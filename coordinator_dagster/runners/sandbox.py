"""How the process that starts models is started: inside bubblewrap where that works, else as it is."""

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from coordinator_dagster.runners.confined import layers
from coordinator_dagster.runners.layers import LAYERS

# All a model's process sees of our environment: no secrets, and one thread per numeric library.
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "PYTHONDONTWRITEBYTECODE": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pandas loads pyarrow: a thread in what is to fork
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
}
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from confined.zygote import main; del sys.path[0]; main(sys.argv[2])"
)
_CONFINED, _BASE = "/coordinator", "/base"  # in the sandbox
_DEVICES = ("/dev/zero", "/dev/random", "/dev/urandom")
_SYSTEM = ("/lib", "/lib32", "/lib64", "/bin", "/sbin")  # of their own or links into /usr
_ROOT_NEEDS = ("SETUID", "SETGID", "KILL")  # to become a user of its own, and to end it
_NEEDS = ("SYS_ADMIN", "SETPCAP")  # to give each model a view of its own, and to give these up


def command(
    bwrap: str | None, models_dir: Path, base_class: str, packages: Sequence[Path], preload: Sequence[str], control: int
) -> list[str]:
    """The command line of the process that forks the models; `packages` are what `base_class` is imported from."""
    python = _installed()
    entries = [f"{_BASE}/{number}" for number in range(len(packages))] if bwrap else [str(p.parent) for p in packages]
    found = entries if bwrap else [str(path) for path in packages]  # beside a package may be anything, as in a checkout
    told = {
        "control": control,
        "base": base_class,
        "preload": list(preload),
        "entries": entries,
        "sandboxed": bool(bwrap),
        "models": layers.ALL if bwrap else str(models_dir),
        "readable": ["/usr", *_SYSTEM, *_DEVICES, "/etc/ld.so.cache", "/etc/localtime", *map(str, python), *found],
    }
    where = _CONFINED if bwrap else str(Path(__file__).parent)
    start = [sys.executable, "-I", "-c", _BOOT, where, json.dumps(told)]
    if not bwrap:
        return start
    binds = {str(path): str(path) for path in [*python, *filter(Path.exists, [Path("/etc/localtime")])]}
    binds |= {str(path): f"{_BASE}/{number}/{path.name}" for number, path in enumerate(packages)}
    binds |= {str(Path(__file__).parent / "confined"): f"{_CONFINED}/confined", str(models_dir): layers.ALL}
    return [bwrap, *_view(binds), "--", *start]


def find() -> str | None:
    """Where bubblewrap is."""
    return shutil.which("bwrap") if sys.platform == "linux" else None


def _installed() -> list[Path]:
    """Python and its packages, where they are not below /usr: the environment, and what it was made from."""
    python = Path(sys.executable)
    found: list[Path] = []
    for path in [
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sysconfig.get_path("purelib")),
        python,
        python.resolve(),
    ]:
        if not any(path.is_relative_to(one) for one in [Path("/usr"), *found]):
            found.append(path)
    return found


def _view(binds: dict[str, str]) -> Iterable[str]:
    """bubblewrap's options: namespaces of its own, nothing writable, and of the files only `binds` and the system's."""
    needs = [*_NEEDS, *(_ROOT_NEEDS if os.getuid() == 0 else ())]
    yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    if os.getuid():
        yield "--unshare-user"
    yield from ("--cap-drop", "ALL")
    for capability in needs:
        yield from ("--cap-add", f"CAP_{capability}")
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    yield from ("--dev", "/dev", "--remount-ro", "/dev")
    parents = {parent for target in binds.values() for parent in Path(target).parents}
    for folder in sorted({*parents, Path(layers.OWN), Path(layers.SCRATCH)} - {Path("/")}):
        yield from ("--perms", "0755", "--dir", str(folder))
    if Path("/tmp") not in parents:  # noqa: S108  else Python or its packages lie there
        yield from ("--symlink", layers.SCRATCH, "/tmp")  # noqa: S108
    for source, target in binds.items():
        yield from ("--ro-bind", source, target)
    yield from ("--remount-ro", "/", "--clearenv", "--chdir", "/", "--die-with-parent", "--new-session")
    for name, value in {**ENVIRONMENT, "TMPDIR": layers.SCRATCH}.items():
        yield from ("--setenv", name, value)


def refusals(missing: Mapping[str, str], required: Iterable[str]) -> list[str]:
    """Why no model is started: each layer that is required and missing, with what to do about it."""
    return [
        f"MODEL_LAYERS_WAIVED: models are not confined by {name}: {missing[name]}; {LAYERS[name]}, "
        f"or add {name} to the setting where you trust every model"
        for name in layers.lacking(missing, required)
    ]
