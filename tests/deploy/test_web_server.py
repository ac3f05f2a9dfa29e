"""The web server under the application's real demands, with a small application of the test's own."""

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from deploy.run import children, environment, processes

APPLICATION = """
import hashlib, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1.0)
    mark, length = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(100_000):
        mark.update(piece); length += len(piece)
    answer = f"{environ['PATH_INFO']} {length} {mark.hexdigest()}".encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
"""
EMPTY = hashlib.sha256().hexdigest()


@pytest.fixture
def server(tmp_path):
    (tmp_path / "trivial.py").write_text(APPLICATION)
    with processes.listen("127.0.0.1", 0) as listening:
        number = listening.fileno()
        environ = {**os.environ, "PLIMSOLL_WEB_FD": str(number), "WEB_CONCURRENCY": "1", "PLIMSOLL_WEB_THREADS": "2"}
        environ["PYTHONPATH"] = f"{environment.ROOT}:{tmp_path}"
        command = [sys.executable, "-m", "gunicorn", "--config", "python:deploy.run.server", "trivial:application"]
        with (tmp_path / "output").open("wb") as output:
            process = children.spawn(command, cwd=tmp_path, environ=environ, output=output, pass_fds=[number])
        process.port = listening.getsockname()[1]
        yield process
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            children.signal_group(process.pid, signal.SIGKILL)
            process.wait()


def ask(server, path="/", **more):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("PUT" if more else "GET", path, **more)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_a_request_is_served_beside_more_unfinished_ones_than_there_are_threads(server):
    assert ask(server) == f"/ 0 {EMPTY}"
    unfinished = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    for letter in b"GET / HTTP/1.1\r\n":
        for one in unfinished:
            one.send(bytes([letter]))
    assert ask(server) == f"/ 0 {EMPTY}"
    for one in unfinished:  # and each is still served once it is complete
        one.sendall(b"Host: x\r\nConnection: close\r\n\r\n")
    for one in unfinished:
        with one, one.makefile("rb") as reply:
            assert reply.read().endswith(EMPTY.encode())


def test_clients_that_do_not_hang_up_after_the_last_answer_hold_nobody(server):
    staying = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    for one in staying:
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with one.makefile("rb") as reply:
            assert reply.read().endswith(EMPTY.encode())  # to the end of the stream: the server has closed its side
    assert ask(server) == f"/ 0 {EMPTY}"
    for one in staying:
        one.close()


def test_bodies_arrive_whole_with_and_without_a_length(server):
    body = os.urandom(3_000_001)
    expected = f"/ {len(body)} {hashlib.sha256(body).hexdigest()}"
    assert ask(server, body=body) == expected
    pieces = (body[start : start + 70_001] for start in range(0, len(body), 70_001))
    assert ask(server, body=pieces, headers={"Transfer-Encoding": "chunked"}, encode_chunked=True) == expected


def test_many_requests_on_one_connection_and_several_at_once_in_it(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    for number in range(30):
        connection.request("PUT", f"/{number}", body=b"x" * number)
        mark = hashlib.sha256(b"x" * number).hexdigest()
        assert connection.getresponse().read().decode() == f"/{number} {number} {mark}"
    connection.close()
    with socket.create_connection(("127.0.0.1", server.port)) as raw, raw.makefile("rb") as reply:
        raw.sendall(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPUT /b HTTP/1.1\r\nHost: x\r\nContent")
        time.sleep(0.2)
        raw.sendall(b"-Length: 2\r\nConnection: close\r\n\r\nde")
        text = reply.read().decode()
    assert f"/a 3 {hashlib.sha256(b'abc').hexdigest()}" in text
    assert f"/b 2 {hashlib.sha256(b'de').hexdigest()}" in text


def test_a_request_under_way_is_answered_when_the_server_is_told_to_end(server):
    assert ask(server)
    heard = []
    asking = threading.Thread(target=lambda: heard.append(ask(server, "/slow")))
    asking.start()
    time.sleep(0.3)
    server.send_signal(signal.SIGTERM)
    asking.join()
    assert heard == [f"/slow 0 {EMPTY}"]
    assert server.wait(timeout=10) == 0
