"""The long work of a Task."""

from foundry.actors.task.workflows.checkpoints import checkpoint, restore
from foundry.actors.task.workflows.fetch import fetch
from foundry.actors.task.workflows.git_status import git_status
from foundry.actors.task.workflows.provision import provision, recovery
from foundry.actors.task.workflows.publish import publish
from foundry.actors.task.workflows.rename import rename
from foundry.actors.task.workflows.sandbox import idle_stop, release

WORKFLOWS = [provision, recovery, git_status, checkpoint, restore, publish, fetch, rename, idle_stop, release]
