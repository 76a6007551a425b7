"""The long work of a Task, one file each."""

from foundry.actors.task.workflows.checkpoint import checkpoint
from foundry.actors.task.workflows.fetch import fetch
from foundry.actors.task.workflows.git_status import inspect
from foundry.actors.task.workflows.idle_stop import rest
from foundry.actors.task.workflows.provision import provision
from foundry.actors.task.workflows.publish import publish
from foundry.actors.task.workflows.release import release
from foundry.actors.task.workflows.rename import rename
from foundry.actors.task.workflows.restore import restore

WORKFLOWS = [provision, inspect, checkpoint, restore, publish, fetch, rename, rest, release]
