"""How long a fresh and a second start take to the first page, and what everything together weighs when idle.

Budgets: first page of a fresh start in 90 s, of a second one in 10 s, on 2 cores with packages installed; 1.2 GB for
all processes (proportional set size, so that shared pages count once), 150 MB resident for a web process.
"""

import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

from deploy.run.stack import Stack

MB = 1024 * 1024


def first_page(data: Path, then: Callable[[Stack], None] = lambda _: None) -> float:
    """Seconds from the start to an answered sign-in page; ``then`` looks at the running installation."""
    started = time.monotonic()
    with Stack(data, port=0) as stack:
        with urllib.request.urlopen(f"{stack.url}/sign-in/", timeout=30) as answer:
            answer.read()
        seconds = time.monotonic() - started
        then(stack)
    return seconds


def memory(stack: Stack) -> tuple[float, float]:
    """Megabytes: all processes together (PSS), and the largest web process (resident)."""
    root = psutil.Process(stack.pid)
    family = [root, *root.children(recursive=True)]
    together = sum(process.memory_full_info().pss for process in family)
    web = [process.memory_info().rss for process in family if "gunicorn" in " ".join(process.cmdline())]
    return together / MB, max(web, default=0) / MB


def main() -> int:
    """Measure; 1 when a budget is exceeded."""
    weighed: list[float] = []

    def weigh(stack: Stack) -> None:
        time.sleep(15)
        weighed.extend(memory(stack))

    with tempfile.TemporaryDirectory() as folder:
        fresh = first_page(Path(folder))
        second = first_page(Path(folder), weigh)
    rows = [
        ("fresh start to first page", fresh, 90.0, "s"),
        ("second start to first page", second, 10.0, "s"),
        ("everything idle, together", weighed[0], 1200.0, "MB"),
        ("largest web process", weighed[1], 150.0, "MB"),
    ]
    for name, found, budget, unit in rows:
        print(f"{name}: {found:.1f} {unit} (budget {budget:.0f} {unit}, ratio {found / budget:.2f})")
    return int(any(found > budget for _, found, budget, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
