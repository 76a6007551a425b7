"""GitHub as the organization's state knows it: installations, deliveries, pull requests, permissions.

These are GitHubState's commands, messages and views. The API's own shapes are in `contracts/github.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from pydantic import ConfigDict, ValidationError

from foundry.contracts.errors import BadInput, FoundryError
from foundry.contracts.github_access import Role
from foundry.contracts.github_payloads import GitHubAccount, GitHubPullRequest
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.messages import APP, Address, Birth, Command, Event, Message, Model
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task_branch import BranchMoved


class NotInstalled(FoundryError, code="github_not_installed", status=409):
    """The GitHub App is not installed for this organization, or it is suspended."""

    remedy = "Install the GitHub App, or ask an owner to lift the suspension."


class PullRequestState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"  # without merging
    MERGED = "merged"


class PullRequestView(Model):
    """A pull request as GitHub last described it; joined at the edge (R14)."""

    repository: RepositoryId
    number: int
    state: PullRequestState
    title: str = ""
    draft: bool = False
    url: str = ""
    author: str = ""  # login
    head: str  # branch
    head_sha: str = ""
    head_repository: RepositoryId | None = None  # a fork's; none: the fork is gone
    base: str  # branch
    created_at: datetime | None = None
    updated_at: datetime | None = None  # GitHub's clock; none: GitHub has not described it yet


class PullRequestChanged(Event):
    """On `pull_requests`: the whole new pull request."""

    pull_request: PullRequestView


class InstallationSummary(Model):
    """One installation of the App, as GitHub lists it."""

    id: int
    organization: OrganizationId  # the account's id; a person's own account is one too (R13)
    login: str
    name: str = ""
    avatar_url: str = ""
    personal: bool = False  # a person's account, which has no members
    active: bool = True  # false: suspended


class Member(Model):
    id: UserId
    login: str
    role: Role = Role.MEMBER


class DeliveryView(Model):
    """One webhook delivery, as the settings page lists it."""

    id: str
    event: str
    action: str
    installation: int | None
    outcome: str  # routed, applied, unknown installation, ignored
    at: datetime


class GitHubStateView(Model):
    """How far an organization's picture of GitHub is trusted."""

    organization: OrganizationId
    installation: int | None = None
    active: bool = True
    synced_at: datetime | None = None
    syncing_since: datetime | None = None
    failure: str = ""  # why the last sync failed; empty: it did not


# Webhooks: what Foundry uses of a payload; the rest is left out when it is read


class _Payload(Model):
    model_config = ConfigDict(frozen=True, extra="ignore")


class HookRepository(_Payload):
    """Less of it in some events: those of an installation leave the owner out."""

    id: int
    name: str = ""
    owner: GitHubAccount | None = None
    default_branch: str = "main"
    private: bool = False
    clone_url: str = ""
    html_url: str = ""
    updated_at: datetime | None = None
    pushed_at: datetime | None = None  # a Unix time in push events


class HookInstallation(_Payload):
    id: int
    account: GitHubAccount | None = None  # only in events about the installation itself


class HookMembership(_Payload):
    user: GitHubAccount | None = None
    role: str = ""  # admin or member


class HookPayload(_Payload):
    """A webhook's payload, trimmed to what some turn reads."""

    action: str = ""
    installation: HookInstallation | None = None
    repository: HookRepository | None = None
    pull_request: GitHubPullRequest | None = None
    member: GitHubAccount | None = None  # of member and membership
    membership: HookMembership | None = None  # of organization
    repositories_added: list[HookRepository] = []
    sender: GitHubAccount | None = None  # whoever did it
    ref: str = ""  # refs/heads/NAME in push, NAME in create and delete
    ref_type: str = ""  # of create and delete: branch or tag
    before: str = ""  # of push
    after: str = ""  # of push; zeros: deleted
    repositories_removed: list[HookRepository] = []


class Deliver(Command[bool]):
    """To GitHubState("app"), by the edge, after the signature was checked: one webhook delivery.

    Answered with False for a delivery id that was taken before; nothing happens then.
    """

    delivery: str
    event: str
    action: str = ""
    installation: int | None = None
    payload: HookPayload


def delivery(delivery: str, event: str, body: bytes) -> Deliver:
    """The command for one webhook request.

    Raises:
        BadInput: the body is not the JSON of a webhook.
    """
    try:
        data = json.loads(body)
    except ValueError as error:
        raise BadInput(f"the body is no JSON: {error}", field="body") from error
    if not isinstance(data, Mapping):
        raise BadInput("the body is no JSON object", field="body")
    trimmed = {
        k: v for k, v in cast("Mapping[str, Any]", data).items() if k in HookPayload.model_fields and v is not None
    }
    try:
        payload = HookPayload.model_validate(trimmed)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{where}: {first['msg']}", field=where) from error
    installation = payload.installation.id if payload.installation else None
    return Deliver(delivery=delivery, event=event, action=payload.action, installation=installation, payload=payload)


class Delivered(Message):
    """GitHubState("app") -> GitHubState(org): a delivery of its installation."""

    delivery: str
    event: str
    action: str = ""
    payload: HookPayload


# Installations and syncing


class SyncInstallations(Command[None], Birth):
    """To GitHubState("app"), at every start; its first word too: list the App's installations again."""

    parent: Address | None = Address("AppShell", APP)


class RecordInstallations(Command[None]):
    """To GitHubState("app"), by a step: the App's installations, all of them."""

    installations: list[InstallationSummary]


class InstallationGranted(Message, Birth):
    """GitHubState("app") -> GitHubState(org): the App is installed there; its first word too. A sync follows."""

    installation: InstallationSummary


class InstallationRevoked(Message):
    """GitHubState("app") -> GitHubState(org): this installation was removed or suspended."""

    installation: int


class SyncOrganization(Command[None]):
    """To GitHubState(org), by the edge: read everything from GitHub again, in the background."""


class RecordRepositories(Command[None]):
    """To GitHubState(org), by a step: repositories as GitHub lists them; with `all`, the others are gone."""

    repositories: list[RepositoryRef]
    all: list[RepositoryId] | None = None


class RecordMembers(Command[None]):
    """To GitHubState(org), by a step: the organization's members, all of them."""

    members: list[Member]


class RecordPullRequests(Command[list[int]]):
    """To GitHubState(org), by a step: a repository's open pull requests, all of them.

    Answered with the numbers that were open here and are not listed: each has to be asked for by itself.
    """

    repository: RepositoryId
    pull_requests: list[PullRequestView]


class DescribePullRequest(Command[None]):
    """To GitHubState(org), by a step: one pull request as GitHub describes it now."""

    pull_request: PullRequestView


# Asked by the edge and by other rooms' workflows


class RecordBranches(Command[None]):
    """To GitHubState(org), by who compared: these branches are elsewhere than their tasks know."""

    repository: RepositoryId
    moved: list[BranchMoved]
