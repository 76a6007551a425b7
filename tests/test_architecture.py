"""The house holds to its plan: sizes, imports, what may be committed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "foundry"
MODULES = sorted(p for p in SRC.rglob("*.py") if p.parent.name != "versions")  # a revision is as long as it is
PACKAGES = sorted(p.name for p in (SRC / "actors").iterdir() if (p / "actor.py").exists())


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        return [p for p in ROOT.rglob("*") if p.is_file() and ".venv" not in p.parts and "node_modules" not in p.parts]
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def imports(path: Path) -> set[str]:
    """Every module a file imports, with the names taken from it as `module.name`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


# imports point one way, also those that import-linter cannot see

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def within(name: str, rooms: Iterable[str]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def out_of_reach(module: str) -> set[str]:
    """The rooms that import-linter's contracts keep this module from importing."""
    found: set[str] = set()
    for contract in CONTRACTS:
        if contract["type"] == "forbidden":
            found |= set(contract["forbidden_modules"]) if within(module, contract["source_modules"]) else set()
            continue
        above: set[str] = set()
        for layer in contract["layers"]:
            beside = set(layer.split(" | "))
            if within(module, beside):
                found |= above | {room for room in beside if not within(module, [room])}
            above |= beside
    return found


def named(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Every module of ours that a source names, with the line: in imports, also relative and inside functions, and in
    strings, as `import_module`, `-m` and entry points take them. What only the run knows is named `foundry.?`."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            start = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            if found := re.match(r"foundry\.([\w.]*)(?=$|:)", node.value):
                yield node.lineno, f"foundry.{found[1].strip('.') or '?'}"
        elif isinstance(node, ast.Call) and _imports_what_only_the_run_knows(node):
            yield node.lineno, "foundry.?"


def _imports_what_only_the_run_knows(call: ast.Call) -> bool:
    loads = re.search(r"(^|\.)(import_module|__import__)$", ast.unparse(call.func))
    return bool(loads) and not isinstance(next(iter(call.args), None), ast.Constant)


def upward(source: str, module: str) -> list[str]:
    """What in it points to a room that the module may not import."""
    closed = out_of_reach(module) | ({"foundry.?"} if out_of_reach(module) else set())
    return [f"{module}, line {line}: {name}" for line, name in named(source, module) if within(name, closed)]


def module_of(path: Path) -> str:
    """A package's own module has `__init__` at its end, so that relative imports count from the package."""
    return ".".join(path.relative_to(SRC.parent).with_suffix("").parts)


def test_no_import_points_upwards() -> None:
    assert [found for path in sorted(SRC.rglob("*.py")) for found in upward(path.read_text(), module_of(path))] == []


@pytest.mark.parametrize(
    "line",
    [
        "import foundry.actors",
        "from foundry.actors.task import views",
        "from foundry import actors",
        "def later():\n    from foundry.web import pages",
        "from ..actors import task",
        "from ...foundry import api",
        'importlib.import_module("foundry.actors")',
        'import_module("foundry.api.auth", package=None)',
        '__import__("foundry.cli")',
        "importlib.import_module(name)",
        "__import__(f'{room}.tables')",
        'importlib.import_module("foundry." + room)',
        'importlib.import_module(f"foundry.{room}")',
        'pkgutil.walk_packages(path, "foundry.actors.")',
        'run([sys.executable, "-m", "foundry.devkit.github"])',
        'entry = "foundry.app:create_app"',
        'ROOM = "foundry.github"',
    ],
)
def test_what_points_upwards_is_found(line: str) -> None:
    assert upward(line, "foundry.runtime.topic") != []


@pytest.mark.parametrize(
    "line",
    [
        "import json",
        "from foundry.contracts import ids",
        "from . import turn",
        "from .store import base",
        "from ..contracts import ids",
        'importlib.import_module("json")',
        'importlib.import_module("foundry.runtime.turn")',
        'log = get_logger("foundry.runtime")',
        '"""foundry.actors is above."""',
        'place = "foundry.db"',
        'words = "foundry.actors is above"',
    ],
)
def test_what_does_not_is_let_through(line: str) -> None:
    assert upward(line, "foundry.runtime.topic") == []


def test_the_top_may_import_everything_and_neighbours_not_each_other() -> None:
    assert upward("import foundry.app, foundry.devkit.cast", "foundry.cli.demo") == []
    assert len(upward("import foundry.sandboxes.acp, foundry.github.app", "foundry.github.client")) == 1
    assert len(upward("import foundry.runtime.turn, foundry.contracts.ids", "foundry.devkit.cast")) == 1


@pytest.mark.parametrize("path", [p for p in MODULES if "runtime" in p.relative_to(SRC).parts], ids=lambda p: p.name)
def test_a_file_of_the_runtime_stays_under_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


UNITS = r"milliseconds|seconds|bytes|characters"
IN_ITS_NAME = r"TRIES|ENTRIES|CHARACTERS|BYTES|HOURS|PORT$|_ID$"
TWO_UNITS = {"ROOM"}  # items in one file, characters in the other


def amounts() -> Iterator[tuple[str, str, str]]:
    """Every constant that is a number, or some: its file, its name and its comment."""
    for path in MODULES:
        source = path.read_text()
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_an_amount(node.value):
                text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                above = lines[node.lineno - 2] if lines[node.lineno - 2].startswith("#") else ""
                yield str(path.relative_to(SRC)), node.targets[0].id, above + text.partition("#")[2]


def _is_an_amount(value: ast.expr) -> bool:
    if isinstance(value, ast.Tuple):
        return bool(value.elts) and all(map(_is_an_amount, value.elts))
    if isinstance(value, ast.BinOp):
        return _is_an_amount(value.left) and _is_an_amount(value.right)
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def test_a_constant_has_its_unit_in_a_comment_or_in_its_name() -> None:
    assert [f"{path}: {name}" for path, name, said in amounts() if not said and not re.search(IN_ITS_NAME, name)] == []


def test_a_constants_name_has_the_same_unit_everywhere() -> None:
    units: dict[str, set[str]] = {}
    for _, name, said in amounts():
        found = re.search(rf"\b({UNITS})\b", said)
        units.setdefault(name, set()).add(found[0] if found else "")
    assert {name for name, several in units.items() if len(several) > 1} == TWO_UNITS


def test_the_runtime_has_one_protocol_of_itself() -> None:
    """`host.Host`; the other two are what SQLite and PostgreSQL both are."""
    found = {
        f"{path.relative_to(SRC)}: {node.name}"
        for path in (SRC / "runtime").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
    }
    expected = {"runtime/host.py: Host", "runtime/store/base.py: Store", "runtime/store/base.py: Transaction"}
    assert found == expected


def test_no_file_is_past_500_lines() -> None:
    assert [p.name for p in MODULES if len(p.read_text().splitlines()) > 500] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_an_actor_package_knows_no_other(package: str) -> None:
    """They meet through contracts and the runtime (DESIGN 4)."""
    for path in (SRC / "actors" / package).rglob("*.py"):
        others = [
            name
            for name in imports(path)
            if (match := re.match(r"foundry\.actors\.(\w+)", name))
            and match[1] != package
            and (SRC / "actors" / match[1]).is_dir()
        ]
        assert others == [], f"{path.relative_to(SRC)} imports {others}"


def test_only_the_doors_packages_reach_outside() -> None:
    """GitHub is reached by GitHubState alone (R10), sandboxes by SandboxInstance and TaskSession."""
    allowed = {"github": {"github_state"}, "sandboxes": {"sandbox_instance", "task_session"}}
    for path in (SRC / "actors").rglob("*.py"):
        package = path.relative_to(SRC / "actors").parts[0]
        for room, who in allowed.items():
            reached = any(name == f"foundry.{room}" or name.startswith(f"foundry.{room}.") for name in imports(path))
            assert not reached or package in who, f"{path.relative_to(SRC)} imports foundry.{room}"


def test_our_own_calls_go_through_one_http_client() -> None:
    """httpx2, which gidgethub brings (docs/decisions/0013)."""
    others = {"httpx", "aiohttp", "requests", "urllib3", "urllib.request", "http.client"}
    files = [path for room in ("src", "tests", "benchmarks", "scripts") for path in (ROOT / room).rglob("*.py")]
    assert [f"{path.relative_to(ROOT)} imports {name}" for path in files for name in imports(path) & others] == []


def test_no_machine_path_or_registry_is_committed() -> None:
    hosts = ["registry." + "npmjs", "files." + "pythonhosted", "pypi." + "org", "deb." + "debian"]
    paths = ["/" + "work/", "/" + "root/", "/tmp/" + "lab"]
    # `{home}/work/` and `src/work/` are somebody's own directories, not this machine's
    forbidden = re.compile(
        "|".join(map(re.escape, hosts)) + r"|(?<![\w.~})$-])(" + "|".join(map(re.escape, paths)) + ")"
    )
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found = forbidden.search(text)
        assert found is None, f"{path.relative_to(ROOT)} names {found and found[0]}"


def test_no_third_party_file_is_committed() -> None:
    names = [str(path.relative_to(ROOT)) for path in tracked()]
    assert [n for n in names if re.search(r"(^|/)(node_modules|vendor)/|\.min\.(js|css)$", n)] == []


def test_locks_carry_no_addresses() -> None:
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()
    for lock in ROOT.glob("requirements*.lock"):
        assert "://" not in lock.read_text(), lock.name


@pytest.mark.parametrize(
    "how", ["def test_it(): pytest.skip('absent')", "pytest.skip('absent', allow_module_level=True)"]
)
def test_ci_takes_a_skip_for_a_failure(how: str, tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(f"import pytest\n{how}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "--rootdir", str(tmp_path), str(tmp_path)]
    for strict in (False, True):
        env = {k: v for k, v in os.environ.items() if k != "FOUNDRY_NO_SKIPS"} | (
            {"FOUNDRY_NO_SKIPS": "1"} if strict else {}
        )
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert ("skipped where nothing may be" in done.stdout) is strict, done.stdout
        assert done.returncode in ((1, 2) if strict else (0, 5)), done.stdout


# tests

SLEEPS = {  # what takes time here is part of the scene, not a wait that proves something
    "tests/waiting.py": "polls for `eventually`",
    "tests/runtime/test_workflow.py": "an action of the outside takes a moment",
    "tests/system/test_every_step.py": "looks whether the server lives, to start it again",
}


def test_no_test_sleeps_to_show_that_nothing_comes() -> None:
    """`World.quiet` and `eventually` do it (CONTRIBUTING, "Write a test of the actors")."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if "harness" not in path.parts]
    found = {str(p.relative_to(ROOT)) for p in files if re.search(r"asyncio\.sleep\((?!0\))", p.read_text())}
    assert found - {"tests/test_architecture.py"} == SLEEPS.keys()


def test_no_test_patches_a_constant() -> None:
    """What a test needs in another size is an argument with the usual value as its default."""
    patched = re.compile(r"""setattr\([^)]*["'](?:[\w.]+\.)?[A-Z][A-Z_]+["']""")
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert [str(path.relative_to(ROOT)) for path in files if patched.search(path.read_text())] == []
