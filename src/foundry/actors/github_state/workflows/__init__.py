"""The long work of GitHubState, one file each."""

from foundry.actors.github_state.workflows.sync_installations import sync_installations
from foundry.actors.github_state.workflows.sync_organization import sync_organization

WORKFLOWS = [sync_installations, sync_organization]
