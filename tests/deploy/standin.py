"""A tiny installation for the supervisor's tests: same supervisor, other parts. Run as a program with a plan's name."""

import os
import signal
import sys

from deploy.run import environment, processes
from deploy.run.environment import Choices
from deploy.run.postgres import Embedded
from deploy.run.processes import Plan, Process, Step
from deploy.run.supervisor import Supervisor

PAGE = """
import http.server, os, socket
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Page, bind_and_activate=False)
server.socket = socket.socket(fileno=int(os.environ["PLIMSOLL_WEB_FD"]))
print("serving", os.environ.get("DATABASE_URL", ""), flush=True)
server.serve_forever()
"""
# starts a child of its own and, like some servers, does not end it when it is itself killed
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("I am deaf", flush=True)
time.sleep(600)
"""


def python(source: str) -> tuple[str, ...]:
    return (sys.executable, "-c", source)


def web(source: str = PAGE) -> Process:
    return Process("web", python(source), listening="PLIMSOLL_WEB_FD", probe="/", awaited=True, stage=2)


def pages(_chosen: Choices) -> Plan:
    return (web(), Process("parent", python(PARENT)))


def stubborn(_chosen: Choices) -> Plan:
    return (web(), Process("deaf", python(STUBBORN), stop=((signal.SIGTERM, 0.5),)))


def dying(_chosen: Choices) -> Plan:
    return (web(), Process("doomed", python("print('the last word'); raise SystemExit(7)")))


def failing(_chosen: Choices) -> Plan:
    return (Step("schema", python("print('no such table'); raise SystemExit(3)")), web())


def asking(_chosen: Choices) -> Plan:
    link = "print('Sign in at http://127.0.0.1/sign-in/0123456789abcdefghij')"
    return (Step("bootstrap", python(link), echo=True), web())


def database(chosen: Choices) -> Plan:
    return (*processes.database_only(chosen, Embedded(chosen.data)), web())


COMMAND = ("-m", "tests.deploy.standin")
PLANS = {plan.__name__: plan for plan in (pages, stubborn, dying, failing, asking, database)}

if __name__ == "__main__":
    sys.exit(Supervisor(environment.choices(os.environ), PLANS[sys.argv[1]], environ=os.environ).run())
