"""What people may do, as the edge reads it: pure functions of one snapshot (contracts/github_access.py).

Where GitHub has to be asked first, they raise `Outdated` with the question. The edge asks, and runs the read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, BindParameter, ColumnElement, Select, and_, bindparam, or_, select

from foundry.actors.github_state.tables import (
    github_access,
    github_access_changes,
    github_installations,
    github_listing_pages,
    github_listings,
    github_members,
    github_reaches,
    github_states,
)
from foundry.contracts.github_access import (
    EVERYBODY,
    SINGLE_QUESTIONS,
    AccessQuestionsUsedUp,
    AccessTimes,
    Outdated,
    Question,
    Reached,
    Role,
)
from foundry.contracts.github_state import NotInstalled
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.messages import APP, millis
from foundry.contracts.people import Access
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Query, Reader

NEVER = 2**62  # a number that no answer has
ASK_EACH = 5  # changed repositories; if more have changed, the whole listing is read
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Asking:
    """For whom and when rights are read.

    Args:
        connected: since when GitHub can be asked in the person's name; None: it cannot.
        grace: GitHub does not answer, so older answers let one read.
    """

    person: UserId
    now: datetime
    times: AccessTimes
    connected: datetime | None = None
    grace: bool = False

    @property
    def oldest(self) -> int:
        """Answers from before this moment do not count for reading. Unix milliseconds."""
        return millis(self.now - (self.times.grace if self.grace else self.times.read))


@dataclass(frozen=True)
class OrganizationAccess:
    """What one person may see in one organization: the values of `READABLE`, and what is known beside them.

    Args:
        number: of the counter, for a question that follows.
        floor: rows from this number on count.
        since: single answers after this moment count, if nothing has changed since; Unix milliseconds.
        complete: what is not listed is not the person's. Else later pages are still unknown, or pages do not fit.
        all: every repository, because it is the person's own account.
        by_app: the person has no usable token here.
        renew: the listing should be read again in the background.
        changes: repositories whose rights have changed, and since which number.
        unknown: of these, the ones that GitHub does not answer about: they do not count, but the others do.
    """

    organization: OrganizationId
    person: UserId
    number: int
    role: Role
    floor: int = NEVER
    since: int = NEVER
    public_floor: int = NEVER
    complete: bool = True
    all: bool = False
    by_app: bool = False
    single_sign_on: bool = False
    renew: bool = False
    changes: Mapping[str, int] | None = None
    unknown: frozenset[str] = frozenset()

    @property
    def values(self) -> dict[str, object]:
        """Of `READABLE`'s parameters."""
        return {
            "access_organization": self.organization,
            "access_person": self.person,
            "access_everybody": EVERYBODY,
            "access_floor": self.floor,
            "access_since": self.since,
            "access_public_floor": self.public_floor,
            "access_unknown": sorted(self.unknown),
        }


_RIGHTS, _PAGES, _CHANGE = github_access.c, github_listing_pages.c, github_access_changes.c
_ON_PAGE = and_(_PAGES.github == _RIGHTS.github, _PAGES.person == _RIGHTS.person, _PAGES.page == _RIGHTS.page)
_WHOSE: list[BindParameter[str]] = [bindparam("access_person"), bindparam("access_everybody")]
_JOINED = github_access.outerjoin(github_listing_pages, _ON_PAGE)


def _counts(person: str, floor: str) -> ColumnElement[bool]:
    number: BindParameter[int] = bindparam(f"access_{floor}", type_=BigInteger)
    asked_for = or_(_RIGHTS.number >= number, _PAGES.round >= number)
    return and_(_RIGHTS.person == bindparam(f"access_{person}"), asked_for)


def _asked_since() -> ColumnElement[bool]:
    """Single answers from a moment on, about which GitHub reported no change since."""
    changed = (
        select(_CHANGE.number)
        .where(
            _CHANGE.github == _RIGHTS.github,
            or_(_CHANGE.person == "", _CHANGE.person == _RIGHTS.person),
            or_(_CHANGE.repository == "", _CHANGE.repository == _RIGHTS.repository),
            _CHANGE.number > _RIGHTS.number,
        )
        .correlate(github_access)
        .exists()
    )
    return and_(_RIGHTS.person == bindparam("access_person"), _RIGHTS.at > bindparam("access_since"), ~changed)


def _repositories(*levels: Access) -> Select[tuple[str]]:
    return (
        select(_RIGHTS.repository)
        .select_from(_JOINED)
        .where(_RIGHTS.github == bindparam("access_organization"), _RIGHTS.access.in_([one.value for one in levels]))
        .where(_RIGHTS.person.in_(_WHOSE))  # else SQLite reads the rows of all the organization's people
        .where(_RIGHTS.repository.not_in(bindparam("access_unknown", expanding=True)))
        .where(
            or_(
                _counts("person", "floor"),
                _asked_since(),
                _counts("everybody", "public_floor"),
            )
        )
    )


READABLE = _repositories(*(one for one in Access if one.may_read))
"""Ids of the repositories that a person may read, for lists to select from. Parameters: OrganizationAccess.values."""

WRITABLE = _repositories(*(one for one in Access if one.may_write))
"""The same of those that a person may push to."""

_LISTING = github_listings.c
_STATE: Query = (
    select(
        github_states.c.installation, github_states.c.active, github_states.c.access_number, github_states.c.login,
        _LISTING.role, _LISTING.done, _LISTING.at, _LISTING.torn, _LISTING.single_sign_on, _LISTING.round,
        _LISTING.page, _LISTING.began_at, _LISTING.progressed_at, _LISTING.questions, _LISTING.questions_since,
    )
    .outerjoin_from(
        github_states,
        github_listings,
        and_(github_listings.c.github == github_states.c.github, github_listings.c.person == bindparam("person")),
    )
    .where(github_states.c.github == bindparam("github"))
)  # fmt: skip
_CHANGES: Query = select(
    github_access_changes.c.person, github_access_changes.c.repository, github_access_changes.c.number
).where(
    github_access_changes.c.github == bindparam("github"),
    or_(github_access_changes.c.person == "", github_access_changes.c.person == bindparam("person")),
)
_REACH: Query = (
    select(github_states.c.access_number, github_reaches)
    .outerjoin_from(
        github_states,
        github_reaches,
        and_(github_reaches.c.github == github_states.c.github, github_reaches.c.person == bindparam("person")),
    )
    .where(github_states.c.github == APP)
)
_NOT_COUNTED = select(github_installations.c.installation).where(github_installations.c.active.is_(False))
_MEMBER = select(github_members.c.github, github_members.c.role).where(github_members.c.user == bindparam("person"))
_RIGHT: Query = (
    select(_RIGHTS.access, _RIGHTS.number, _RIGHTS.at, _PAGES.round, _PAGES.at.label("page_at"))
    .select_from(_JOINED)
    .where(
        _RIGHTS.github == bindparam("github"),
        _RIGHTS.person == bindparam("person"),
        _RIGHTS.repository == bindparam("repository"),
    )
)
_CHANGED: Query = (
    select(_RIGHTS.repository, _RIGHTS.number, _PAGES.round)
    .select_from(_JOINED)
    .where(
        _RIGHTS.github == bindparam("github"),
        _RIGHTS.person == bindparam("person"),
        _RIGHTS.repository.in_(bindparam("repositories", expanding=True)),
    )
)


def reach_of(reader: Reader, asking: Asking) -> Reached:
    """The installations that the person may use. Without a usable token none is known.

    Raises:
        Outdated: GitHub has to be asked.
    """
    if asking.connected is None:
        return Reached(installations=[])
    row = reader.first(_REACH, {"person": asking.person})
    if row is None:
        return Reached(installations=[])  # no App is configured
    changed = _changes(reader, APP, asking.person).get("", 0)
    if row.at is None or row.at <= asking.oldest or row.number < changed:
        raise Outdated(Question(asking.person, row.access_number))
    return Reached(installations=json.loads(row.installations), single_sign_on=json.loads(row.single_sign_on))


def installations_not_counted(reader: Reader) -> set[int]:
    """The App's installations that make no organization: suspended, or on an account that is not allowed."""
    return {row.installation for row in reader.all(_NOT_COUNTED)}


def memberships(reader: Reader, person: UserId) -> dict[OrganizationId, Role]:
    """Where the App has seen the person as a member, at the last sync."""
    return {OrganizationId(row.github): Role(row.role) for row in reader.all(_MEMBER, {"person": person})}


def organization_access(
    reader: Reader, organization: OrganizationId, asking: Asking, *, public: bool = False
) -> OrganizationAccess | None:
    """What the person may see in this organization; None if the App was never there.

    Args:
        public: everybody who is signed in may read what is public.

    Raises:
        Outdated: GitHub has to be asked.
        NotInstalled: the App works there no more. Only its people are told.
    """
    row = reader.first(_STATE, {"github": organization, "person": asking.person})
    if row is None:
        return None
    if not row.active or row.installation is None:
        roles = {row.role, memberships(reader, asking.person).get(organization)}  # who never asked is its member too
        if roles - {None, Role.NONE}:
            raise NotInstalled(f"the GitHub App is not installed for {row.login}, or it is suspended there")
        return None
    changes = _changes(reader, organization, asking.person)
    found = _by_app(reader, organization, asking, row, changes)
    if found is None:
        found = _by_listing(organization, asking, row, changes)
        found = replace(found, unknown=_changed_since(reader, asking, found))
    if public:
        everybody = _everybody(reader, organization, asking)
        found = replace(found, public_floor=everybody)
    return found


def public_access(reader: Reader, organization: OrganizationId, asking: Asking) -> OrganizationAccess | None:
    """What somebody sees who has nothing to do with an organization that shows its public work.

    Raises:
        Outdated: GitHub has to be asked.
    """
    row = reader.first(_STATE, {"github": organization, "person": asking.person})
    if row is None or not row.active:
        return None
    everybody = _everybody(reader, organization, asking)
    return OrganizationAccess(organization, asking.person, row.access_number, Role.NONE, public_floor=everybody)


def _by_app(
    reader: Reader, organization: OrganizationId, asking: Asking, row: AnyRow, changes: Mapping[str, int]
) -> OrganizationAccess | None:
    """Without a usable token there: what the App knows, and what it was asked for one by one.

    Where GitHub required a single sign-on, it is asked again from time to time whether that has happened.
    """
    refused = row.single_sign_on and row.at > max(asking.oldest, millis(asking.connected or asking.now))
    if asking.connected is not None and not refused:
        return None
    own = organization == asking.person
    role = Role.OWNER if own else memberships(reader, asking.person).get(organization, Role.NONE)
    return OrganizationAccess(
        organization, asking.person, row.access_number, role, since=asking.oldest, all=own, by_app=True,
        single_sign_on=bool(row.single_sign_on), changes=changes,
    )  # fmt: skip


def _by_listing(
    organization: OrganizationId, asking: Asking, row: AnyRow, changes: Mapping[str, int]
) -> OrganizationAccess:
    """1. The last whole round, if it counts. 2. Else what the present round has brought so far. 3. Else ask."""
    changed, now = changes.get("", 0), millis(asking.now)
    role = Role(row.role or Role.NONE)
    runs = row.page is not None and row.round >= changed
    moves = runs and now - row.progressed_at < asking.times.stalled / timedelta(milliseconds=1)
    if row.done and row.done >= changed and row.at > asking.oldest:
        renew = not moves and row.at <= millis(asking.now - asking.times.renew)
        return OrganizationAccess(
            organization, asking.person, row.access_number, role, row.done,
            complete=not row.torn, renew=renew, changes=changes,
        )  # fmt: skip
    if (moves or (runs and asking.grace)) and (row.page or 0) > 1 and row.began_at > asking.oldest:
        return OrganizationAccess(
            organization, asking.person, row.access_number, role, row.round, complete=False, changes=changes
        )
    raise Outdated(Question(asking.person, row.access_number, organization))


def _changed_since(reader: Reader, asking: Asking, found: OrganizationAccess) -> frozenset[str]:
    """The changed repositories that GitHub was not asked about since. One that it does not answer about hides itself,
    and not the whole organization.

    Raises:
        Outdated: GitHub has to be asked.
    """
    later = {id: number for id, number in (found.changes or {}).items() if id and number > found.floor}
    if not later:
        return frozenset()
    values = {"github": found.organization, "person": found.person, "repositories": list(later)}
    asked = {row.repository: max(row.number, row.round or 0) for row in reader.all(_CHANGED, values)}
    open_ = sorted(id for id, number in later.items() if asked.get(id, 0) < number)
    if not open_ or asking.grace:
        return frozenset(open_)
    one = RepositoryId(open_[0]) if len(open_) <= ASK_EACH else None
    raise Outdated(Question(found.person, found.number, found.organization, one))


def _everybody(reader: Reader, organization: OrganizationId, asking: Asking) -> int:
    row = reader.first(_STATE, {"github": organization, "person": EVERYBODY})
    changes = _changes(reader, organization, EVERYBODY)
    changed = max(changes.values(), default=0)
    if row is None or not row.done or row.done < changed or row.at <= asking.oldest:
        raise Outdated(Question(EVERYBODY, 0, organization, by_app=True))
    return row.done


def right_to(
    reader: Reader, found: OrganizationAccess, asking: Asking, repository: RepositoryId, *, write: bool = False
) -> Access:
    """What the person may do with one repository.

    Args:
        write: it is to be changed, so the answer must be younger.

    Raises:
        Outdated: GitHub has to be asked.
        AccessQuestionsUsedUp: the App has asked often enough for this person in this hour.
    """
    values = {"github": found.organization, "person": found.person, "repository": repository}
    row = reader.first(_RIGHT, values)
    number = 0 if row is None else max(row.number, row.round or 0)
    at = 0 if row is None else max(row.at, row.page_at or 0)
    changed = max((found.changes or {}).get("", 0), (found.changes or {}).get(repository, 0))
    oldest = millis(asking.now - asking.times.write) if write else asking.oldest
    known = row is not None and number >= changed and at > oldest
    listed = number >= found.floor or (not found.by_app and found.complete)
    if write or found.by_app or not listed or repository in found.unknown:
        if not known:
            if found.by_app:
                _refuse_too_many(reader, found, asking)
            raise Outdated(Question(found.person, found.number, found.organization, repository, by_app=found.by_app))
    elif number < found.floor:
        return Access.NONE
    return Access.NONE if row is None else Access(row.access)


def _refuse_too_many(reader: Reader, found: OrganizationAccess, asking: Asking) -> None:
    row = reader.first(_STATE, {"github": found.organization, "person": found.person})
    if row is None or row.questions is None:
        return
    this_hour = millis(asking.now) - row.questions_since < HOUR / timedelta(milliseconds=1)
    if this_hour and row.questions >= SINGLE_QUESTIONS:
        raise AccessQuestionsUsedUp(f"{row.questions} questions about this person's access were asked in this hour")


def _changes(reader: Reader, github: str, person: UserId) -> dict[str, int]:
    """The numbers of the last changes that concern this person, by repository; under "" of all repositories."""
    found: dict[str, int] = {}
    for row in reader.all(_CHANGES, {"github": github, "person": person}):
        found[row.repository] = max(row.number, found.get(row.repository, 0))
    return found
