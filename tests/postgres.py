"""A PostgreSQL of the tests' own: one throw-away cluster a run, one fresh database a test.

A cluster ends with the process that made it, even if that one is killed: a small shell waits at the other end of a
pipe, and stops and removes the cluster when the pipe closes.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest


def binaries() -> Path | None:
    """Where initdb lies: on the PATH, or the newest of Debian's."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    places = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    return Path(max(places, key=lambda p: int(p.split("/")[4]))).parent if places else None


def _user() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


STOP = 'read -r _; "$0" -D "$1/data" -m immediate stop; rm -rf "$1"'  # the end of the pipe is the word


@contextmanager
def cluster(*options: str, fsync: bool = True) -> Iterator[str]:
    """A running cluster on a free port of 127.0.0.1; gives `postgresql://postgres@127.0.0.1:PORT/`.

    Args:
        options: more of the server's command line, such as `-c shared_buffers=1GB`.
        fsync: whether a commit is on the disk before it is answered; benchmarks need it, tests do not.
    """
    where = binaries()
    assert where, "PostgreSQL's server binaries are missing"
    user = _user()
    home = Path(tempfile.mkdtemp(prefix="foundry-pg-"))
    run: dict[str, object] = {"cwd": home, "env": {"PATH": f"{where}:/usr/bin:/bin", "LC_ALL": "C", "HOME": str(home)}}
    if user:
        os.chown(home, user.pw_uid, user.pw_gid)
        run |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    control, data = str(where / "pg_ctl"), str(home / "data")

    def call(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, **run)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr + done.stdout

    call(str(where / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
    flags = [f"-p {port}", "-c listen_addresses=127.0.0.1", f"-k {home}", "-c max_connections=200", *options]
    flags += [] if fsync else ["-c fsync=off", "-c full_page_writes=off"]
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # in a session of its own, so that Ctrl-C reaches only the tests, and they close the pipe
    stopper = subprocess.Popen(["/bin/sh", "-c", STOP, control, str(home)], start_new_session=True, **quiet, **run)  # type: ignore[call-overload]
    try:
        call(control, "-D", data, "-l", str(home / "log"), "-w", "-t", "60", "-o", " ".join(flags), "start")
        yield f"postgresql://postgres@127.0.0.1:{port}/"
    finally:
        stopper.communicate(timeout=60)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def database(server: str) -> Iterator[str]:
    """A fresh database of the cluster; dropped afterwards."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield f"{server}{name}"
    finally:
        with psycopg.connect(f"{server}postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    if binaries() is None:
        pytest.skip("PostgreSQL's server binaries (initdb, pg_ctl) are not on this machine")
    with cluster(fsync=False) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    with database(postgres_server) as url:
        yield url
