"""Listings: read page by page, by whichever server is there, and never believed for longer than they hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import select

from foundry.actors.github_state.tables import github_listings
from foundry.contracts.github_access import EVERYBODY, LeaveListing, RecordListingPage, RefuseListing
from foundry.contracts.github_state import Delivered, HookPayload, HookRepository
from foundry.contracts.people import Access
from tests.actors.access_stage import (
    ANN,
    BOB,
    HERE,
    R,
    W,
    answer,
    asks,
    at,
    begin,
    counter,
    installed,
    listed,
    may,
    page,
    record,
    rows,
    whole,
    written,
)  # fmt: skip
from tests.actors.tree import tree
from tests.waiting import eventually
from tests.world.world import World


def local(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/foundry.db"


async def changes(stage: World, number: int | None = None) -> None:
    """GitHub says that rights to one repository, or to each, may be others now."""
    repository = None if number is None else HookRepository(id=5000 + number)
    told = Delivered(
        delivery="d", event="team", action="edited", payload=HookPayload(action="edited", repository=repository)
    )
    await stage.say(told, to=HERE)


async def test_a_listing_that_was_killed_after_page_3_goes_on_at_page_4(store_url: str) -> None:
    async with tree(store_url) as stage:
        await installed(stage)
        place = await begin(stage)
        for number in (1, 2, 3):
            assert place is not None
            assert place.page == number
            place = await record(stage, place, page(number, total=4), when=number)
    async with tree(store_url) as stage:  # another server, or the same one after a crash
        place = await begin(stage, when=60)
        assert place is not None
        assert place.page == 4
        assert await record(stage, place, page(4, total=4, last=True), when=61) is None
        assert await listed(stage, when=62) == [1, 2, 3, 4]


async def test_nobody_takes_a_listing_over_before_15_seconds_without_a_page(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        first = await begin(stage)
        assert first is not None
        second = await record(stage, first, page(1, total=2), when=5)
        assert await begin(stage, when=19) is None
        taken = await begin(stage, when=21)
        assert taken == second
        assert await begin(stage, when=22) is None, "now the other one works on it"
        assert await record(stage, taken, page(2, total=2, last=True), when=22) is None
        assert await record(stage, taken, page(9, total=2, last=True), when=23) is None  # the first one comes back
        assert await listed(stage, when=24) == [1, 2]


async def test_a_listing_that_could_not_go_on_is_taken_over_at_once(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        first = await begin(stage)
        assert first is not None
        await stage.ask(HERE, LeaveListing(person=ANN, round=first.round))
        assert await begin(stage, when=1) == first
        await stage.ask(HERE, LeaveListing(person=ANN, round=first.round - 1))  # an older one
        assert await begin(stage, when=2) is None


async def test_an_old_listing_is_not_taken_over_but_begun_again(tmp_path: Path) -> None:
    """Its first page may say what GitHub denied since."""
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await begin(stage)
        assert place is not None
        await record(stage, place, page(1, total=2), when=1)
        again = await begin(stage, when=3600)
        assert again is not None
        assert (again.page, again.round > place.round) == (1, True)
        assert asks(await may(stage, 1, when=3600))


async def test_a_partial_listing_counts_no_longer_than_a_whole_one(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await begin(stage)
        assert place is not None
        place = await record(stage, place, page(1, total=3), when=1)
        assert place is not None
        assert await may(stage, 1, when=10) is W
        assert await begin(stage, when=470) == place, "still young enough to go on with"
        place = await record(stage, place, page(2, total=3), when=595)
        assert await may(stage, 1, when=599) is W
        assert asks(await may(stage, 1, when=601))


async def test_while_github_is_away_the_pages_that_were_read_still_count(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await begin(stage)
        assert place is not None
        place = await record(stage, place, page(1, total=3), when=1)
        assert place is not None
        await stage.ask(HERE, LeaveListing(person=ANN, round=place.round))
        assert asks(await may(stage, 1, when=2))
        assert await may(stage, 1, when=2, grace=True) is W
        assert asks(await may(stage, 2, when=2, grace=True), 2)
        assert asks(await may(stage, 1, when=3601, grace=True))


async def test_the_first_page_can_be_used_before_the_second(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await begin(stage)
        assert place is not None
        assert asks(await may(stage, 1))
        await record(stage, place, page(1, total=2), when=1)
        assert await may(stage, 1, when=2) is W
        assert await listed(stage, when=2) == [1]
        assert asks(await may(stage, 2, when=2), 2), "it may be on a later page"


async def test_a_page_that_has_not_changed_costs_no_rows(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, 2, total=3, etag="a"), page(3, total=3, last=True, etag="b"))
        before, stored = await written(stage), await rows(stage)
        place = await begin(stage, when=700)
        assert place is not None
        assert place.etag == "a"
        place = await record(stage, place, None, when=701)
        assert place is not None
        assert place.etag == "b"
        assert await record(stage, place, None, when=702) is None
        assert (await written(stage), await rows(stage)) == (before, stored)
        assert await listed(stage, when=1200) == [1, 2, 3]
        assert await may(stage, 3, when=750, write=True) is W, "its page was confirmed less than a minute ago"
        assert asks(await may(stage, 3, when=763, write=True), 3)


async def test_an_unchanged_page_is_read_in_full_if_a_single_answer_changed_it_meanwhile(tmp_path: Path) -> None:
    """It was `read` at first, `admin` for a moment, and is `read` again: the page has its first ETag."""
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, total=1, last=True, etag="a", access=R))
        place = await begin(stage, when=700)
        assert place is not None
        assert place.etag == "a"
        await answer(stage, 1, W, when=701)
        again = await record(stage, place, None, when=702)
        assert again is not None
        assert (again.page, again.round, again.etag) == (1, place.round, "")
        await record(stage, again, page(1, total=1, last=True, etag="a", access=R), when=703)
        assert await may(stage, 1, when=704) is R


async def test_a_late_answer_does_not_replace_what_a_later_page_confirmed(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, total=1, last=True, etag="a", access=R))
        asked = await counter(stage)
        place = await begin(stage, when=700)
        assert place is not None
        await record(stage, place, None, when=702)
        await answer(stage, 1, W, asked=asked, when=699)
        assert await may(stage, 1, when=703) is R
        await answer(stage, 1, W, asked=place.round, when=701)  # asked during the round, and before the page
        assert await may(stage, 1, when=703, write=True) is R
        await answer(stage, 1, W, asked=place.round, when=703)
        assert await may(stage, 1, when=704) is W


async def test_a_repository_that_moves_to_another_page_is_found_there(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, 2, total=3, etag="a"), page(3, total=3, last=True, etag="b"))
        await whole(stage, page(9, 1, total=4, etag="c"), page(2, 3, total=4, last=True, etag="d"), when=700)
        assert await listed(stage, when=701) == [1, 2, 3, 9]
        assert {number: place for number, (_, place) in (await rows(stage)).items()} == {9: 1, 1: 1, 2: 2, 3: 2}


async def test_a_page_that_lost_a_repository_to_another_page_is_read_in_full(tmp_path: Path) -> None:
    """Number 3 was on page 1 for a moment, in a listing that stopped. Page 2 is as ever at GitHub, but not here."""
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, 2, total=3, etag="a"), page(3, total=3, last=True, etag="b"))
        place = await begin(stage, when=700)
        assert place is not None
        stopped = await record(stage, place, page(1, 3, total=2, etag="c"), when=701)
        assert stopped is not None
        assert stopped.etag == ""
        await changes(stage)
        place = await begin(stage, when=702)
        assert place is not None
        place = await record(stage, place, page(1, 2, total=3, etag="a"), when=703)
        assert place is not None
        assert place.etag == ""
        await record(stage, place, page(3, total=3, last=True, etag="b"), when=704)
        assert await listed(stage, when=705) == [1, 2, 3]


async def test_a_repository_that_is_deleted_while_it_is_listed_hides_no_other(tmp_path: Path) -> None:
    """Number 1 goes after the first page, so that 3 moves to that page and is on none of the pages that were read."""
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await whole(stage, page(1, 2, total=4), page(4, total=3, last=True))
        assert place is not None, "the totals differ, so it is read once more"
        assert (place.page, place.etag) == (1, "")
        place = await record(stage, place, page(2, 3, total=3), when=1)
        assert place is not None
        assert await record(stage, place, page(4, total=3, last=True), when=2) is None
        assert await listed(stage, when=3) == [2, 3, 4]


async def test_what_pages_that_never_fit_leave_out_is_asked_for_by_itself(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await whole(stage, page(1, 2, total=4), page(4, total=3, last=True))
        assert place is not None
        place = await record(stage, place, page(2, 5, total=4), when=1)
        assert place is not None
        assert await record(stage, place, page(4, total=3, last=True), when=2) is None, "once more, not for ever"
        assert await listed(stage, when=3) == [2, 4, 5]
        assert asks(await may(stage, 3, when=3), 3)
        await answer(stage, 3, W, when=4)
        assert await may(stage, 3, when=5) is W
        await whole(stage, page(2, 3, total=3), page(4, total=3, last=True), when=700)
        assert await may(stage, 6, when=701) is Access.NONE, "these pages fit"


async def test_what_a_whole_listing_does_not_have_is_nobodys(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, 2, total=2, last=True))
        place = await begin(stage, when=500)
        assert place is not None
        assert await may(stage, 2, when=501) is W, "the old one counts until the new one is whole"
        await record(stage, place, page(1, total=1, last=True), when=502)
        assert await may(stage, 2, when=503) is Access.NONE
        assert await rows(stage) == {1: ("write", 1)}


async def test_a_listing_that_was_begun_before_a_change_does_not_count(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        old = await begin(stage)
        assert old is not None
        await changes(stage)
        await record(stage, old, page(1, total=2), when=1)
        assert asks(await may(stage, 1, when=2))
        new = await begin(stage, when=2)
        assert new is not None
        assert (new.page, new.round > old.round) == (1, True)
        late = RecordListingPage(
            person=ANN, round=old.round, number=2, page=page(2, total=2, last=True), asked_at=at(3)
        )
        assert await stage.ask(HERE, late) is None
        assert 2 not in await rows(stage)
        await record(stage, new, page(1, total=1, last=True), when=4)
        assert await listed(stage, when=5) == [1]


async def test_a_single_answer_that_was_asked_for_later_stays(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await begin(stage)
        assert place is not None
        await changes(stage, 1)
        await answer(stage, 1, Access.NONE, when=2)
        await record(stage, place, page(1, total=1, last=True, etag="a"), when=1)
        assert await may(stage, 1, when=3) is Access.NONE
        again = await begin(stage, when=4)
        assert again is not None
        assert again.etag == "", "the page says something else, so it is read in full"


async def test_reading_what_everybody_reads_says_nothing_about_a_person(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, total=1, last=True, access=R))
        await answer(stage, 2, R, public=True, when=1)
        assert await may(stage, 2, when=2) is Access.NONE
        await changes(stage, 1)
        assert asks(await may(stage, 1, when=3), 1)
        await answer(stage, 1, R, public=True, when=3)
        assert asks(await may(stage, 1, when=4)), "the person's own right may be gone: only a listing says"
        await whole(stage, page(total=0, last=True), when=5)
        assert await may(stage, 1, when=6) is Access.NONE


async def test_a_listing_under_way_says_better_who_is_meant(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        place = await begin(stage)
        assert place is not None
        place = await record(stage, place, page(1, total=2), when=1)
        assert place is not None
        await whole(stage, page(7, total=1, last=True), person=BOB, when=1)  # takes the next number
        await answer(stage, 2, R, public=True, when=2)
        await record(stage, place, page(2, total=2, last=True, access=R), when=3)
        assert await may(stage, 2, when=4) is R


async def test_a_refused_listing_leaves_nothing(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, total=1, last=True))
        place = await begin(stage, when=700)
        assert place is not None
        await stage.ask(HERE, RefuseListing(person=ANN, round=place.round - 1, asked_at=at(701)))  # an older one
        assert await rows(stage) != {}
        await stage.ask(HERE, RefuseListing(person=ANN, round=place.round, asked_at=at(701)))
        assert await rows(stage) == {}
        assert await may(stage, 1, when=702) is Access.NONE


async def test_after_a_refusal_for_single_sign_on_the_listing_is_tried_again_in_time(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, total=1, last=True))
        await stage.ask(HERE, RefuseListing(person=ANN, single_sign_on=True, asked_at=at(100)))  # of one question
        found = await may(stage, 1, when=101)
        assert asks(found, 1)
        assert found.by_app  # type: ignore[union-attr]
        assert asks(await may(stage, 1, when=701)), "ten minutes later the person is asked for again"
        await whole(stage, page(1, total=1, last=True), when=702)
        assert await may(stage, 1, when=703) is W


async def test_without_a_token_a_change_ends_an_answer_in_lists_too(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        for number in (1, 2):
            await answer(stage, number, R, by_app=True)
        assert await listed(stage, when=1, token=False) == [1, 2]
        await changes(stage, 1)
        assert await listed(stage, when=2, token=False) == [2]
        await changes(stage)
        assert await listed(stage, when=3, token=False) == []


async def test_everybodys_listing_is_of_public_repositories_and_is_nobodys_right(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        assert await whole(stage, page(1, total=9, last=True, access=R), person=EVERYBODY) is None
        await whole(stage, page(2, total=1, last=True))
        assert await may(stage, 1, when=1) is Access.NONE


async def test_old_access_is_deleted_and_what_is_confirmed_is_kept(tmp_path: Path) -> None:
    """Bob has not been here for a month. Ann's page is confirmed all the time; her single answer is old."""
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await whole(stage, page(1, total=1, last=True, etag="a"), person=BOB)
        await whole(stage, page(1, total=1, last=True, etag="a"))
        await answer(stage, 2, R)
        with closing(sqlite3.connect(tmp_path / "foundry.db", timeout=5.0)) as database:
            old = "UPDATE github_access SET at = 1"
            here = "UPDATE github_listings SET began_at = 4102444800000 WHERE person = '71'"
            gone = "UPDATE github_listings SET began_at = 1 WHERE person = '72'"
            due = "UPDATE schedules SET due_at = 0 WHERE name = 'old access'"
            for statement in (old, here, gone, due):
                database.execute(statement)
            database.commit()
        await eventually(lambda: rows(stage, BOB), lambda found: not found, limit=10.0)
        assert await rows(stage) == {1: ("write", 1)}
        query = select(github_listings.c.person)
        assert [row.person for row in await stage.read(lambda reader: reader.all(query))] == [ANN]
