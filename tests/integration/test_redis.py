"""Redis as the broker: tasks travel through it, and a request does not wait for one that is gone."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.run.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture
def broker() -> Iterator[str]:
    program = shutil.which("redis-server")
    assert program, "This test needs redis-server: apt-get install redis-server."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="plimsoll-redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=port)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        client.close()
        process.terminate()
        process.wait()


def test_the_scheduler_reaches_the_worker_through_redis(broker: str) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="plimsoll-redis-stack-") as folder,
        Stack(Path(folder), port=0, environ={"CELERY_BROKER_URL": broker}) as stack,
    ):
        assert stack.environment["CELERY_BROKER_URL"] == broker
        log = Path(folder) / "logs" / "worker.log"
        deadline = time.monotonic() + 90
        said = ""
        while "Task registry.tasks.sweep" not in said or " succeeded in " not in said:
            assert time.monotonic() < deadline, said[-2000:]
            time.sleep(0.5)
            said = log.read_text() if log.exists() else ""
        client = redis.Redis.from_url(broker)
        assert client.exists("_kombu.binding.celery")
        client.close()
