"""GitHubState(org): what people may do with its repositories, as GitHub said it (contracts/github_access.py).

A listing is read by the edge in numbered rounds, page by page, and each page is recorded in a turn of its own. So a
listing of 50 pages goes on where it stopped, also after a crash, and what the first page says can be used at once. The
rows of a round count from its number on: those of the round before go when the new round is whole.
"""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.github_state.tables import (
    github_access,
    github_access_changes,
    github_listing_pages,
    github_listings,
    github_states,
)
from foundry.contracts import addresses
from foundry.contracts.github_access import (
    EVERYBODY,
    TIMES,
    AccessChanged,
    BeginListing,
    LeaveListing,
    ListedPage,
    Place,
    ReachChanged,
    RecordAnswer,
    RecordListingPage,
    RefuseListing,
    Role,
)
from foundry.contracts.ids import RepositoryId, UserId
from foundry.contracts.messages import millis
from foundry.contracts.people import Access
from foundry.runtime.actor import due, handles
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn

SAID_EVERY = 10  # pages of a listing until whoever watches looks again
REPEATS = 1  # how often a listing begins again because repositories came or went while it was read
HOUR = timedelta(hours=1)
OLD_CHANGES = timedelta(hours=2)  # older answers count nowhere
OLD_LISTINGS = timedelta(days=30)
SWEEP = timedelta(hours=1)


# listings


@handles(BeginListing)
def begin_listing(turn: Turn, command: BeginListing) -> Place | None:
    """1. Somebody works on one that counts: leave it to them. 2. Nobody goes on with it: take it over. 3. Else a new
    round, also if the first pages of the old one are too old to be used."""
    person, now = command.person, millis(command.asked_at)
    row = turn.find(github_listings, person=person)
    young = row is not None and now - row.began_at < TIMES.renew / timedelta(milliseconds=1)
    if row is not None and row.page is not None and young and row.round >= changed_at(turn, person):
        if now - row.progressed_at < TIMES.stalled / timedelta(milliseconds=1):
            return None
        turn.update(github_listings, {"person": person}, progressed_at=now)
        return _place(turn, person, row.round, row.page)
    number = _next_number(turn)
    if row is None:
        turn.insert(github_listings, person=person, role=Role.NONE, done=0, at=0)
    begun = {"round": number, "page": 1, "again": 0, "began_at": now, "progressed_at": now}
    turn.update(github_listings, {"person": person}, **begun)
    return _place(turn, person, number, 1)


@handles(RecordListingPage)
def record_listing_page(turn: Turn, command: RecordListingPage) -> Place | None:
    """1. Only what the present round waits for. 2. Keep the page. 3. The last one makes the round count."""
    person, number = command.person, command.number
    row = turn.find(github_listings, person=person)
    if row is None or (row.round, row.page) != (command.round, number):
        return None
    if command.role is not None:
        turn.update(github_listings, {"person": person}, role=command.role, single_sign_on=False)
    if command.page is None:
        changed = False
        if not _place(turn, person, row.round, number).etag:
            return _place(turn, person, row.round, number)  # a single answer has changed it since: read it in full
        turn.update(
            github_listing_pages, {"person": person, "page": number}, round=row.round, at=millis(command.asked_at)
        )
    else:
        changed = _keep_page(turn, command, command.page)
    page = turn.one(github_listing_pages, person=person, page=number)
    if page.last:
        return _whole(turn, turn.one(github_listings, person=person), number, page.total, changed)
    turn.update(github_listings, {"person": person}, page=number + 1, progressed_at=millis(command.asked_at))
    if changed and (number == 1 or number % SAID_EVERY == 0):
        _publish(turn, person, None)
    return _place(turn, person, row.round, number + 1)


def _keep_page(turn: Turn, command: RecordListingPage, page: ListedPage) -> bool:
    """Store one page. Return True if somebody may do other things now.

    A single answer that was asked for later is kept; the page is then read in full the next time.
    """
    person, number = command.person, command.number
    c, floor = github_access.c, _floor(turn, person)
    listed = {right.repository: right.access for right in page.rights}
    known = {row.repository: row for row in turn.all(github_access, c.repository.in_(list(listed)), person=person)}
    changed, etag = False, page.etag
    for row in turn.all(github_access, person=person, page=number):
        if row.repository not in listed:  # on another page, or no more: it counts until the round is whole
            where = {"person": person, "repository": row.repository}
            turn.update(github_access, where, page=0, number=max(row.number, floor))
    new: list[dict[str, object]] = []
    for id, access in listed.items():
        row = known.get(id)
        values = {"access": access, "page": number, "number": command.round, "at": millis(command.asked_at)}
        if row is None:
            new.append({"person": person, "repository": id, **values})
        elif row.number > command.round:
            turn.update(github_access, {"person": person, "repository": id}, page=number)
            etag = etag if row.access == access else ""
        else:
            turn.update(github_access, {"person": person, "repository": id}, **values)
            changed = changed or row.access != access
        if row is not None and row.page not in (0, number):  # that page is no longer what its ETag stands for
            turn.update(github_listing_pages, {"person": person, "page": row.page}, etag="")
    turn.insert_many(github_access, new)
    values = {"etag": etag, "round": command.round, "at": millis(command.asked_at)}
    turn.put(github_listing_pages, {"person": person, "page": number}, last=page.last, total=page.total, **values)
    return changed or bool(new)


def _whole(turn: Turn, row: AnyRow, pages: int, total: int, changed: bool) -> Place | None:
    """1. Repositories came or went while it was read: once more. 2. It counts. 3. What it does not list goes."""
    person = row.person
    torn = _torn(turn, UserId(person), pages, total)
    if torn and row.again < REPEATS:
        number = _next_number(turn)
        turn.update(github_listings, {"person": person}, page=1, again=row.again + 1, round=number)
        turn.update(github_listing_pages, {"person": person}, etag="")
        return _place(turn, UserId(person), number, 1)
    turn.update(github_listings, {"person": person}, page=None, done=row.round, at=row.began_at, torn=torn)
    turn.delete(github_listing_pages, github_listing_pages.c.page > pages, person=person)
    c = github_access.c
    gone = turn.delete(github_access, c.number < row.round, (c.page == 0) | (c.page > pages), person=person)
    expired = not row.done or row.began_at - row.at >= TIMES.read / timedelta(milliseconds=1)
    if changed or gone or expired:
        _publish(turn, UserId(person), None)
    return None


def _torn(turn: Turn, person: UserId, pages: int, total: int) -> bool:
    """Return True if repositories came or went between two pages, so that one may be on none of them."""
    read = turn.all(github_listing_pages, github_listing_pages.c.page <= pages, person=person)
    if {page.total for page in read} != {total}:
        return True
    listed = turn.count(github_access, github_access.c.page >= 1, github_access.c.page <= pages, person=person)
    return person != EVERYBODY and listed != total  # everybody's has the public ones alone


@handles(LeaveListing)
def leave_listing(turn: Turn, command: LeaveListing) -> None:
    """Whoever comes next goes on with it, without waiting for anybody."""
    row = turn.find(github_listings, person=command.person)
    if row is not None and row.round == command.round and row.page is not None:
        turn.update(github_listings, {"person": command.person}, progressed_at=0)


@handles(RefuseListing)
def refuse_listing(turn: Turn, command: RefuseListing) -> None:
    """The person reaches nothing there, or only after a single sign-on. Rows of earlier rounds go."""
    person = command.person
    row = turn.find(github_listings, person=person)
    if command.round is None:
        begin_listing(turn, BeginListing(person=person, asked_at=command.asked_at))
        row = turn.one(github_listings, person=person)
    elif row is None or row.round != command.round:
        return
    was = {"role": row.role, "single_sign_on": row.single_sign_on}
    new = {"role": command.role.value, "single_sign_on": command.single_sign_on}
    ended = {"page": None, "done": row.round, "at": row.began_at, "torn": False}
    turn.update(github_listings, {"person": person}, **ended, **new)
    turn.delete(github_listing_pages, person=person)
    if turn.delete(github_access, github_access.c.number < row.round, person=person) or was != new:
        _publish(turn, person, None)


def _floor(turn: Turn, person: UserId) -> int:
    """The number from which on answers count: of the last whole round."""
    return turn.one(github_listings, person=person).done


def _place(turn: Turn, person: UserId, round: int, page: int) -> Place:
    known = turn.find(github_listing_pages, person=person, page=page)
    return Place(round=round, page=page, etag="" if known is None else known.etag)


# single answers


@handles(RecordAnswer)
def record_answer(turn: Turn, command: RecordAnswer) -> None:
    """1. Never overwrite what was asked for later. 2. Reading what is public says nothing. 3. Publish a change."""
    person, right, now = command.person, command.right, millis(command.asked_at)
    if command.by_app:
        _count_question(turn, person, now)
    where = {"person": person, "repository": right.repository}
    row = turn.find(github_access, **where)
    number, at = _asked(turn, row)
    if (number, at) > (command.number, now):
        return
    before = Access.NONE if row is None else Access(row.access)
    values = {"access": right.access, "number": command.number, "at": now}
    if command.public and right.access is Access.READ:
        meant = _read_by_everybody(turn, command, before, number)
        if meant is None:
            return
        values |= meant
    access = Access(str(values["access"]))
    if row is None:
        turn.insert(github_access, **where, page=0, **values)
    else:
        turn.update(github_access, where, **values)
    if access is not before:
        if row is not None and row.page:
            turn.update(github_listing_pages, {"person": person, "page": row.page}, etag="")
        _publish(turn, person, right.repository)


def _asked(turn: Turn, row: AnyRow | None) -> tuple[int, int]:
    """The number and time of the question that this right is known from: a single one, or its page's."""
    if row is None:
        return 0, 0
    page = turn.find(github_listing_pages, person=row.person, page=row.page) if row.page else None
    return max((row.number, row.at), (0, 0) if page is None else (page.round, page.at))


def _read_by_everybody(turn: Turn, command: RecordAnswer, before: Access, number: int) -> dict[str, object] | None:
    """What `read` means where everybody reads: whatever it was before. A listing alone says who is meant.

    1. The App cannot list, so after a change the person has no right. 2. Has it changed since the last listing: list
    again, and keep nothing of this answer. A listing under way has not come to a right that is known from before the
    change. 3. What a listing under way says is better.
    """
    person, listing = command.person, turn.find(github_listings, person=command.person)
    changed = changed_at(turn, person, command.right.repository)
    if command.by_app:
        return {"access": before if before is Access.NONE or changed <= number else Access.NONE}
    under_way = None if listing is None or listing.page is None else listing.round
    covered = (under_way or 0) if before is Access.NONE else 0
    if changed > max(number, 0 if listing is None else listing.done, covered):
        where = {"person": person, "repository": ""}
        turn.put(github_access_changes, where, number=_next_number(turn), at=millis(turn.now))
        return None
    if before is not Access.NONE:
        return {}
    return {"access": Access.NONE, "number": min(command.number, under_way or command.number)}


def _count_question(turn: Turn, person: UserId, now: int) -> None:
    row = turn.find(github_listings, person=person)
    if row is None:
        turn.insert(github_listings, person=person, role=Role.NONE, done=0, at=0, questions=1, questions_since=now)
    elif now - row.questions_since < HOUR / timedelta(milliseconds=1):
        turn.update(github_listings, {"person": person}, questions=row.questions + 1)
    else:
        turn.update(github_listings, {"person": person}, questions=1, questions_since=now)


# changes


def access_changed(turn: Turn, person: UserId | None = None, repository: RepositoryId | None = None) -> None:
    """GitHub said that rights may be others now: what was asked for before does not count, and whoever watches looks
    again.

    Args:
        person: whose rights; None: everybody's.
        repository: to which repository; None: to each.
    """
    number = _next_number(turn)
    where = {"person": person or "", "repository": repository or ""}
    turn.put(github_access_changes, where, number=number, at=millis(turn.now))
    _publish(turn, person, repository)
    turn.send(addresses.github_app(), ReachChanged(person=person))


def changed_at(turn: Turn, person: UserId, repository: str = "") -> int:
    """The number of the last change that concerns this repository and person; without one, each repository."""
    rows = (turn.find(github_access_changes, person=who, repository=repository) for who in ("", person))
    return max((row.number for row in rows if row is not None), default=0)


def _next_number(turn: Turn) -> int:
    number = turn.one(github_states).access_number + 1
    turn.update(github_states, access_number=number)
    return number


def _publish(turn: Turn, person: UserId | None, repository: RepositoryId | None) -> None:
    whose = None if person in (None, EVERYBODY) else person
    turn.publish(
        AccessChanged(entity=f"access {repository or '*'} {whose or '*'}", repository=repository, person=whose)
    )


@due("old access")
def forget_old_access(turn: Turn) -> None:
    """What counts nowhere any more is deleted."""
    turn.delete(github_access_changes, github_access_changes.c.at < millis(turn.now - OLD_CHANGES))
    before, listings = millis(turn.now - OLD_LISTINGS), github_listings.c
    for row in turn.all(github_listings, listings.began_at < before, listings.questions_since < before):
        for table in (github_access, github_listing_pages, github_listings):
            turn.delete(table, person=row.person)
    turn.delete(github_access, github_access.c.at < before, page=0)  # others are confirmed by their page
    turn.schedule("old access", SWEEP)
