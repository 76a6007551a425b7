"""What GitHub lets people do, as GitHubState keeps it: reach, listings, single answers (DESIGN section 6).

- *Reach*: the installations of the App that a person may use. GitHubState("app") keeps it, for each person.
- *Listing*: of one organization, the repositories that a person reaches, with their rights. It is read page by page,
  in numbered rounds.
- *Single answer*: one person's right to one repository, asked for by itself.
- *Change*: GitHub said that some rights may be others now. What was asked before it does not count any more.

Every change takes the next number of the organization's counter. A question has the number that the counter had before
it was asked. So an answer counts if its number is not lower than that of each change that concerns it, and if it is not
too old.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.messages import Command, Event, Message, Model
from foundry.contracts.people import Access

EVERYBODY = UserId("everybody")
"""The listing of an organization's public repositories, which the App reads by itself."""


class Role(StrEnum):
    """What somebody is in an organization, as GitHub has it."""

    OWNER = "owner"  # or the person whose own account it is
    MEMBER = "member"
    COLLABORATOR = "collaborator"  # not a member, but has rights to some of its repositories
    NONE = "none"


class AccessState(StrEnum):
    """How much of what GitHub lets a person see in an organization is known."""

    LISTED = "listed"  # all of it
    LISTING = "listing"  # GitHub's list is being read; more will appear
    SINGLE_SIGN_ON = "single_sign_on"  # GitHub lists nothing until the person signs in to the organization
    RECONNECT = "reconnect"  # Foundry has no usable token of the person


class AccessTimes(NamedTuple):
    """How old an answer of GitHub's may be."""

    read: timedelta = timedelta(minutes=10)
    write: timedelta = timedelta(seconds=60)
    grace: timedelta = timedelta(hours=1)  # for reading, while GitHub does not answer
    renew: timedelta = timedelta(minutes=8)  # an older listing that somebody looks at is read again in the background
    stalled: timedelta = timedelta(seconds=15)  # after this long without a page somebody else goes on with a listing


TIMES = AccessTimes()
FLOOR = 0.2  # of the installation's requests in an hour; questions about access leave them for pushes and webhooks
SINGLE_QUESTIONS = 60  # an hour and person that the App asks for a person without a usable token


class AccessQuestionsUsedUp(FoundryError, code="access_questions_used_up", status=503):
    """Foundry may not ask GitHub more about this person's access now."""

    remedy = "Sign in with GitHub, so that Foundry can ask with your own token, or wait for the next hour."


class SingleSignOnNeeded(FoundryError, code="single_sign_on_needed", status=403):
    """The organization requires single sign-on (SAML), and the person's token has no active session there."""

    remedy = "Open the organization's single sign-on page at GitHub, sign in there, then sign in to Foundry again."


# what a door brings


class Reached(Model):
    """The installations that a person may use, and the organizations that hide theirs until a single sign-on."""

    installations: list[int]
    single_sign_on: list[OrganizationId] = []


class Right(Model):
    """What a person may do with one repository."""

    repository: RepositoryId
    access: Access


class SingleRight(Model):
    """The answer about one repository."""

    access: Access
    public: bool = False  # everybody may read it, so `read` says nothing about the person


class ListedPage(Model):
    """One page of a listing."""

    rights: list[Right]
    total: int  # of all pages
    last: bool
    etag: str = ""


# commands


class RecordReach(Command[None]):
    """To GitHubState("app"), by the edge: a person's reach. The question had this number."""

    person: UserId
    number: int
    reached: Reached
    asked_at: datetime


class Place(Model):
    """Where a listing goes on."""

    round: int
    page: int  # from 1
    etag: str = ""  # of this page when it was last read; empty: unknown


class BeginListing(Command[Place | None]):
    """To GitHubState(org), by the edge: begin a listing, or go on with one that nobody works on.

    Answered with None while somebody works on one that counts.
    """

    person: UserId
    asked_at: datetime


class RecordListingPage(Command[Place | None]):
    """To GitHubState(org), by the edge: one page. Answered with the next place; None at the end, or if another round
    has begun.

    Without a `page` nothing on it has changed since its `etag` was recorded.
    """

    person: UserId
    round: int
    number: int  # of the page, from 1
    page: ListedPage | None
    role: Role | None = None  # the person's, with the first page
    asked_at: datetime


class LeaveListing(Command[None]):
    """To GitHubState(org), by the edge: it cannot go on with this listing; whoever is next may at once."""

    person: UserId
    round: int


class RefuseListing(Command[None]):
    """To GitHubState(org), by the edge: GitHub does not list this person's repositories.

    Without a `round` GitHub has said so to a question about one right.
    """

    person: UserId
    round: int | None = None
    role: Role = Role.NONE
    single_sign_on: bool = False
    asked_at: datetime


class RecordAnswer(Command[None]):
    """To GitHubState(org), by the edge: one right. The question had this number."""

    person: UserId
    number: int
    right: Right
    public: bool = False  # everybody may read it, so `read` says nothing about the person
    by_app: bool = False  # it was asked with the App's own budget
    asked_at: datetime


# messages and events


class ReachChanged(Message):
    """GitHubState(org) -> GitHubState("app"): who reaches the organization may have changed. No person: everybody's."""

    person: UserId | None = None


class AccessMayHaveChanged(Message):
    """GitHubState("app") -> AppShell: the same, for whoever watches the list of organizations."""

    person: UserId | None = None


class AccessChanged(Event):
    """On `pull_requests` and `app`: what people may do may have changed; whoever watches looks again.

    Without a `person` it concerns everybody, without a `repository` every repository of the organization.
    """


# what is missing, as the edge asks for it


class Question(NamedTuple):
    """What has to be asked at GitHub before an answer can be given.

    No organization: the person's reach. No repository: the listing of the organization.
    """

    person: UserId
    number: int
    organization: OrganizationId | None = None
    repository: RepositoryId | None = None
    by_app: bool = False  # the person has no usable token there


class Outdated(Exception):
    """What is recorded about somebody's access is missing or too old."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question
