"""R22: once a sandbox exists, commands run through sandbox-agent's process API and nothing else."""

from __future__ import annotations

import inspect

from foundry.actors.sandbox_instance.door import Sandboxes
from foundry.sandboxes.provider import Provider
from tests.test_architecture import SRC, imports


def test_no_actor_runs_a_process_itself() -> None:
    for path in (SRC / "actors").rglob("*.py"):
        found = imports(path)
        assert not {"subprocess", "os.system", "pty"} & found, path
        assert not any("create_subprocess" in name for name in found), path


def test_a_provider_is_a_control_plane_and_offers_no_commands() -> None:
    offered = {name for name, _ in inspect.getmembers(Provider) if not name.startswith("_")}
    lifecycle = {"name", "warning", "create", "find", "start", "stop", "delete", "log", "list", "repository_path"}
    assert offered == lifecycle | {"usage", "room"}  # looks at the disk from outside; one that cannot says None


def test_git_runs_through_the_process_api() -> None:
    source = inspect.getsource(Sandboxes._on)
    assert "processes.run" in source
