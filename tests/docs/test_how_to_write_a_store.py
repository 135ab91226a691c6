"""The ten lines of the page run as they stand, in a project that has nothing but them and a store."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to-write-a-store.md"

STORE = """
from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.stores.memory import MemoryStore

class MyHarness:
    limits = DEFAULT_LIMITS

    def __init__(self, folder): ...

    async def make(self):
        return MemoryStore()

    async def close(self): ...
"""


def test_the_ten_lines_run_as_they_stand(tmp_path: Path) -> None:
    block = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)[0]
    (tmp_path / "test_my_store.py").write_text(block, "utf-8")
    (tmp_path / "my_store.py").write_text(STORE, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")  # the project's own settings stay out of it

    command = [sys.executable, "-m", "pytest", "-o", "asyncio_mode=auto", "-k", "live_sessions_take or two_stores"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed, 1 skipped" in result.stdout
