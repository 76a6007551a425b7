"""The long work of a Task, one file each."""

from foundry.actors.task.workflows.inspect import inspect
from foundry.actors.task.workflows.provision import provision
from foundry.actors.task.workflows.publish import publish
from foundry.actors.task.workflows.release import release

WORKFLOWS = [provision, inspect, publish, release]
