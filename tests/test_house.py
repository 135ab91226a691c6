"""The rules of the house that no linter knows: what importing costs, what code may not say, how long it may be."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "atomic_session"
MODULES = sorted(PACKAGE.rglob("*.py"))
PURE = [
    "commands",
    "cookies",
    "csrf",
    "csrf_form",
    "delta",
    "durations",
    "errors",
    "fields",
    "lifecycle",
    "limits",
    "operators",
    "paths",
    "record",
    "snapshot",
    "token",
    "values",
]
HEAVY = {
    "aiosqlite",
    "apsw",
    "asyncpg",
    "bson",
    "fastapi",
    "httpx",
    "hypothesis",
    "litestar",
    "pydantic",
    "pymongo",
    "pytest",
    "quart",
    "redis",
    "sqlite3",
    "starlette",
    "uvicorn",
}
SECRET_WORDS = ("secret", "digest", "token")
HARMLESS_ENDS = ("_count", "_id", "_length", "_name", "_size")

LONGEST_FUNCTION = 40
LONGEST_CLASS = 250
LONGEST_MODULE = 400
MOST_PUBLIC_NAMES = 20

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _fresh(code: str, *options: str) -> list[str]:
    """Run *code* in an interpreter of its own, where a warning is an error, and return the words that it prints."""
    command = [sys.executable, "-W", "error", *options, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


# --- what importing gives, and what it costs


@pytest.mark.parametrize("module", ["atomic_session", "atomic_session.manager", "atomic_session.middleware"])
def test_importing_the_library_loads_no_driver_and_no_framework(module: str) -> None:
    loaded = _fresh(f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})")

    assert "atomic_session" in loaded
    assert sorted(HEAVY & set(loaded)) == []


def test_every_public_name_exists_and_every_name_that_exists_is_public() -> None:
    code = """if True:
        import __future__, types, atomic_session as root
        for name in root.__all__:
            getattr(root, name)
            print("listed:" + name)
        for name, value in vars(root).items():
            if not name.startswith("_") and not isinstance(value, (types.ModuleType, type(__future__.annotations))):
                print("bound:" + name)
    """
    words = _fresh(code)
    listed = [word.removeprefix("listed:") for word in words if word.startswith("listed:")]
    bound = {word.removeprefix("bound:") for word in words if word.startswith("bound:")}

    assert len(listed) == len(set(listed))
    assert {name for name in listed if not name.startswith("_")} == bound


def test_the_root_has_few_public_names() -> None:
    names = _fresh("import atomic_session; print(*atomic_session.__all__)")

    assert 0 < len(names) <= MOST_PUBLIC_NAMES


# --- what the code may not say


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_module_imports_what_runs_code_from_data_or_guesses(path: Path) -> None:
    banned = {"dill", "pickle", "random", "shelve"}
    if path.is_relative_to(PACKAGE / "testing"):
        banned.discard("random")  # a suite may choose its own disorder

    assert sorted(banned & {name.partition(".")[0] for name in _imports(_tree(path))}) == []


def _last_name(node: ast.expr) -> str:
    """Return the word that says what *node* holds, or nothing."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name.lower()
        case _:
            return ""


def _holds_a_secret(node: ast.expr) -> bool:
    name = _last_name(node)
    return any(word in name for word in SECRET_WORDS) and not name.endswith(HARMLESS_ENDS)


def _leaky_comparisons(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            flat = [left, *(right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right])]
            secret = any(map(_holds_a_secret, flat))
            known = isinstance(left, ast.Constant) or isinstance(right, ast.Constant)
            by_key = isinstance(operator, ast.In | ast.NotIn) and len(flat) == 2
            if secret and not known and not by_key and isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                yield node.lineno


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_secrets_are_compared_in_constant_time(path: Path) -> None:
    assert list(_leaky_comparisons(_tree(path))) == []


@pytest.mark.parametrize(
    ("code", "leaks"),
    [
        ("a.digest == b", True),
        ("token != other", True),
        ("row['secret'] == given", True),
        ("digest in (record.digest, record.previous)", True),
        ("token == ''", False),
        ("len(token) == length", False),
        ("len(value) in (TOKEN_LENGTH, SIGNED_LENGTH)", False),
        ("token.id == other.id", False),
        ("token is None", False),
        ("'token' in options", False),
        ("compare_digest(a.digest, b)", False),
    ],
)
def test_the_search_for_leaky_comparisons_tells_them_from_harmless_ones(code: str, *, leaks: bool) -> None:
    assert bool(list(_leaky_comparisons(ast.parse(code)))) is leaks


def _calls_to_a_clock(nodes: list[ast.AST]) -> Iterator[int]:
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="clock" | "date" | "datetime"), attr=called)):
                if called in {"now", "today", "utcnow"}:
                    yield node.lineno


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_has_no_async_and_reads_no_clock(module: str) -> None:
    waits = ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await
    files = [path for path in MODULES if _name(path).removesuffix(".py").split("/")[0] == module]
    nodes = [node for path in files for node in ast.walk(_tree(path))]

    assert nodes
    assert [node.lineno for node in nodes if isinstance(node, waits)] == []
    assert list(_calls_to_a_clock(nodes)) == []


# --- how long it may be


def _definitions(path: Path) -> Iterator[Function | ast.ClassDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def _docstring_lines(node: ast.AST) -> int:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or not ast.get_docstring(node):
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


def _lines(node: Function | ast.ClassDef) -> int:
    """Return the lines of *node* from its `def` or `class` to its end; docstrings are free."""
    whole = (node.end_lineno or node.lineno) - node.lineno + 1
    return whole - sum(map(_docstring_lines, ast.walk(node)))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_modules_classes_and_functions_stay_short(path: Path) -> None:
    length = len(path.read_text("utf-8").splitlines())
    too_long = [f"the module has {length} lines"] if length > LONGEST_MODULE else []
    for node in _definitions(path):
        longest = LONGEST_CLASS if isinstance(node, ast.ClassDef) else LONGEST_FUNCTION
        if _lines(node) > longest:
            too_long.append(f"{node.name} (line {node.lineno}) has {_lines(node)} lines, not {longest}")

    assert too_long == []


# --- how it hangs together, and what is shipped


def test_every_import_goes_to_a_lower_floor() -> None:
    """The contracts in pyproject.toml, by the same command as `make lint`."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=100)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    environment = {**os.environ, "PYTHONWARNINGS": ""}
    subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=100, env=environment)
    (built,) = folder.glob("atomic_session-*-py3-none-any.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == files


@pytest.mark.parametrize("kind", ["py.typed", ".sql", ".lua", ".html", ".css", ".js"])
def test_the_wheel_holds_the_files_that_are_no_modules(wheel: zipfile.ZipFile, kind: str) -> None:
    assert [name for name in wheel.namelist() if name.startswith("atomic_session/") and name.endswith(kind)]


def test_the_wheel_asks_for_msgspec_and_apsw_only(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    fields = Parser().parsestr(wheel.read(metadata).decode())
    required = [line for line in fields.get_all("Requires-Dist", []) if "extra ==" not in line]

    assert sorted(line.partition(">")[0] for line in required) == ["apsw", "msgspec"]
    assert fields["License-Expression"] == "MIT"
    assert fields["Requires-Python"] == ">=3.11"
    assert [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
