"""One organization's GitHubState without a GitHub: what a server would record, and what a person may do then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from foundry.actors.github_state.access_views import READABLE, Asking, organization_access, right_to
from foundry.actors.github_state.tables import github_access, github_states
from foundry.contracts import addresses
from foundry.contracts.github_access import (
    TIMES,
    BeginListing,
    ListedPage,
    Outdated,
    Place,
    Question,
    RecordAnswer,
    RecordListingPage,
    Right,
    Role,
)
from foundry.contracts.github_state import InstallationGranted, InstallationSummary, SyncInstallations
from foundry.contracts.ids import RepositoryId, UserId
from foundry.contracts.messages import ScopeId
from foundry.contracts.people import Access
from foundry.runtime.reader import Reader
from tests.actors.tree import ORG
from tests.world.world import World

HERE = addresses.github(ORG)
ANN, BOB = UserId("71"), UserId("72")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
R, W = Access.READ, Access.WRITE


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def repository(number: int) -> RepositoryId:
    return RepositoryId(str(5000 + number))


def page(*numbers: int, total: int, last: bool = False, etag: str = "", access: Access = W) -> ListedPage:
    rights = [Right(repository=repository(number), access=access) for number in numbers]
    return ListedPage(rights=rights, total=total, last=last, etag=etag)


async def installed(stage: World) -> None:
    await stage.ask(addresses.github_app(), SyncInstallations())
    seen = InstallationSummary(id=3001, organization=ORG, login="lumen-works")
    granted = InstallationGranted(parent=addresses.organization(ORG), scope=ScopeId(ORG), installation=seen)
    await stage.ask(HERE, granted)  # type: ignore[arg-type]
    await stage.quiet()


async def begin(stage: World, person: UserId = ANN, when: float = 0) -> Place | None:
    return await stage.ask(HERE, BeginListing(person=person, asked_at=at(when)))


async def record(
    stage: World, place: Place, found: ListedPage | None, person: UserId = ANN, when: float = 0
) -> Place | None:
    role = Role.MEMBER if place.page == 1 else None
    command = RecordListingPage(
        person=person, round=place.round, number=place.page, page=found, role=role, asked_at=at(when)
    )
    return await stage.ask(HERE, command)


async def whole(stage: World, *pages: ListedPage | None, person: UserId = ANN, when: float = 0) -> Place | None:
    """A listing of these pages, the way one server reads it. Answered as the last page is."""
    place = await begin(stage, person, when)
    for found in pages:
        assert place is not None
        place = await record(stage, place, found, person, when)
    return place


async def answer(
    stage: World, number: int, access: Access, person: UserId = ANN, when: float = 0, asked: int | None = None,
    public: bool = False, by_app: bool = False,
) -> None:  # fmt: skip
    """The answer about one right; it was asked for at this number of the counter, now if there is none."""
    command = RecordAnswer(
        person=person, number=await counter(stage) if asked is None else asked, public=public, by_app=by_app,
        right=Right(repository=repository(number), access=access), asked_at=at(when),
    )  # fmt: skip
    await stage.ask(HERE, command)


async def counter(stage: World) -> int:
    row = await stage.read(
        lambda reader: reader.one(select(github_states.c.access_number).where(github_states.c.github == ORG))
    )
    return row.access_number


async def may(
    stage: World,
    number: int,
    person: UserId = ANN,
    when: float = 0,
    *,
    write: bool = False,
    token: bool = True,
    grace: bool = False,
) -> Access | Question:
    """What this person may do with a repository, or what has to be asked first."""
    asking = Asking(person, at(when), TIMES, connected=at(0) if token else None, grace=grace)

    def look(reader: Reader) -> Access | Question:
        try:
            found = organization_access(reader, ORG, asking)
            assert found is not None
            return right_to(reader, found, asking, repository(number), write=write)
        except Outdated as outdated:
            return outdated.question

    return await stage.read(look)


async def listed(stage: World, person: UserId = ANN, when: float = 0, *, token: bool = True) -> list[int] | Question:
    """The numbers of the repositories that this person sees in a list, or what has to be asked first."""
    asking = Asking(person, at(when), TIMES, connected=at(0) if token else None)

    def look(reader: Reader) -> list[int] | Question:
        try:
            found = organization_access(reader, ORG, asking)
        except Outdated as outdated:
            return outdated.question
        assert found is not None
        return sorted(int(row.repository) - 5000 for row in reader.all(READABLE, found.values))

    return await stage.read(look)


async def rows(stage: World, person: UserId = ANN) -> dict[int, tuple[str, int]]:
    """The rows that are stored: access and page."""
    query = select(github_access).where(github_access.c.github == ORG, github_access.c.person == person)
    found = await stage.read(lambda reader: reader.all(query))
    return {int(row.repository) - 5000: (row.access, row.page) for row in found}


async def written(stage: World) -> int:
    """The highest number of the rows: unchanged as long as nothing is written to them."""
    query = select(func.max(github_access.c.number).label("number"))
    return (await stage.read(lambda reader: reader.one(query))).number


def asks(found: object, number: int | None = None) -> bool:
    """Return True if this is a question: about one repository, or for a listing."""
    wanted: Sequence[RepositoryId | None] = (None if number is None else repository(number),)
    return isinstance(found, Question) and found.repository in wanted
