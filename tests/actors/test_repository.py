"""Repository: one branch per task, the repository's index, and where a pull request's news goes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundry.actors.history.views import entries
from foundry.actors.repository.reservations import NAME_LIMIT, free_branch, taken_by
from foundry.actors.repository.views import repository_view, task_list
from foundry.contracts import addresses
from foundry.contracts.branch_names import BranchTaken, branch_problem
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import RepositoryId, TaskId
from foundry.contracts.messages import ScopeId
from foundry.contracts.repository import RepositorySeen, ReserveBranch
from foundry.contracts.task import ArchiveReason, PullRequestSeen, TaskSeen, TaskState
from tests.actors.tree import ORG, REPO, T0, TALLY, begin_task, heard_by, line, tally_tree

HERE = addresses.repository(REPO)


def reserve(task: int, wanted: str, *, exact: bool = False, remote: tuple[str, ...] = ()) -> ReserveBranch:
    return ReserveBranch(task=TaskId(f"tsk_{task}"), wanted=wanted, exact=exact, remote=list(remote))


async def test_a_task_that_asks_again_keeps_its_branch(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        assert await stage.ask(HERE, reserve(1, "fix")) == "fix"
        assert await stage.ask(HERE, reserve(2, "fix")) == "fix-2"
        assert await stage.ask(HERE, reserve(3, "fix", remote=("fix-3", "main"))) == "fix-4"
        # by now the branch was pushed, so GitHub has it too
        assert await stage.ask(HERE, reserve(1, "fix", remote=("fix", "main"))) == "fix"
        assert await stage.ask(HERE, reserve(2, "something-else")) == "fix-2"


async def test_a_chosen_name_is_had_or_refused(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        assert await stage.ask(HERE, reserve(1, "topic/one", exact=True)) == "topic/one"
        for wanted, words in (("topic/one", "task tsk_1"), ("topic", "beside it"), ("topic/one/x", "beside it")):
            with pytest.raises(BranchTaken, match=words) as caught:
                await stage.ask(HERE, reserve(2, wanted, exact=True))
            assert caught.value.field == "branch"
        with pytest.raises(BranchTaken, match="exists on GitHub"):
            await stage.ask(HERE, reserve(2, "main", exact=True, remote=("main",)))
        assert await stage.ask(HERE, reserve(2, "topic/two", exact=True)) == "topic/two"


@pytest.mark.parametrize(
    ("wanted", "taken", "free"),
    [
        ("a", set(), "a"),
        ("a", {"a"}, "a-2"),
        ("a", {"a", "a-2", "a-3"}, "a-4"),
        ("a", {"a/b"}, "a-2"),
        ("a/b", {"a"}, "a-2/b"),
        ("a/b", {"a", "a-2", "a-3/b"}, "a-3/b-2"),
        ("a/b/c", {"a/b", "a/b-2"}, "a/b-3/c"),
    ],
)
def test_the_first_free_name(wanted: str, taken: set[str], free: str) -> None:
    assert free_branch(wanted, taken) == free


PART = st.text("ab-2", min_size=1, max_size=3).filter(lambda part: not part.startswith("-"))
NAME = st.lists(PART, min_size=1, max_size=3).map("/".join)


@given(st.lists(NAME, max_size=12))
@settings(max_examples=300, deadline=None)
def test_however_many_tasks_ask_git_could_hold_all_their_branches(wishes: list[str]) -> None:
    taken: set[str] = set()
    for wish in wishes:
        name = free_branch(wish, taken)
        assert taken_by(name, taken) is None
        assert branch_problem(name) is None
        taken.add(name)


@given(st.lists(st.sampled_from(["x" * 198, "é" * 99, "d/" + "x" * 196, "d"]), min_size=2, max_size=12))
@settings(max_examples=50, deadline=None)
def test_a_suffix_never_makes_a_name_too_long(wishes: list[str]) -> None:
    taken: set[str] = set()
    for wish in wishes:
        name = free_branch(wish, taken)
        assert len(name.encode()) <= NAME_LIMIT
        assert branch_problem(name) is None
        taken.add(name)


@given(st.lists(NAME, min_size=1, max_size=8))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_git_agrees(tmp_path_factory: pytest.TempPathFactory, wishes: list[str]) -> None:
    where = tmp_path_factory.mktemp("repository")
    git(where, "init", "-q", "-b", "trunk")
    git(where, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one")
    taken = {"trunk"}
    for wish in wishes:
        name = free_branch(wish, taken)
        git(where, "branch", name)
        taken.add(name)


def git(where: Path, *words: str) -> None:
    done = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_the_repositorys_own_list(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        for number in (1, 2):
            await stage.say(TaskSeen(task=line(number)), to=HERE, sender=f"tsk_{number}")
        over = line(1, second=1, state=TaskState.ARCHIVED, archived=ArchiveReason.ARCHIVED)
        await stage.say(TaskSeen(task=over), to=HERE)
        await stage.say(TaskSeen(task=line(1)), to=HERE)  # older
        assert [task.id for task in await stage.read(task_list, REPO)] == ["tsk_2"]


async def test_a_rename_is_shown_by_its_tasks(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        await stage.say(TaskSeen(task=line(1)), to=HERE)
        renamed = TALLY.model_copy(update={"name": "sums", "default_branch": "trunk"})
        seen = RepositorySeen(scope=ScopeId(ORG), repository=renamed)
        await stage.say(seen, to=HERE)
        assert await stage.read(repository_view, REPO) == renamed
        assert (await stage.read(task_list, REPO))[0].repository == renamed
        with pytest.raises(NotFound):
            await stage.read(repository_view, RepositoryId("999"))


def news(number: int, head: str, state: str, action: str) -> PullRequestSeen:
    return PullRequestSeen(
        repository=REPO, number=number, head=head, base="main", state=state, action=action, title="Sum it", at=T0
    )


async def test_a_pull_requests_news_reaches_the_task_of_its_branch(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        await begin_task(stage)
        await stage.say(TaskSeen(task=line(1)), to=HERE)
        await stage.ask(HERE, reserve(1, "fix"))
        said = [
            news(7, "fix", "open", "opened"),
            news(8, "theirs", "open", "opened"),
            news(7, "fix", "merged", "merged"),
        ]
        await stage.say(*said, to=HERE, sender="github")
        assert await heard_by(stage, "tsk_1") == [said[0], said[2]]


async def test_history_tells_beginnings_and_ends_once(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        over = line(1, second=5, state=TaskState.ARCHIVED, archived=ArchiveReason.MERGED)
        await begin_task(stage)
        await stage.ask(HERE, reserve(1, "fix"))
        await stage.say(TaskSeen(task=line(1)), TaskSeen(task=line(1, second=1)), to=HERE)
        await stage.say(news(7, "fix", "open", "opened"), news(7, "fix", "open", ""), to=HERE, sender="github")
        await stage.say(news(7, "fix", "merged", "merged"), to=HERE, sender="github")
        await stage.say(TaskSeen(task=over), TaskSeen(task=over), to=HERE)
        told = await stage.read(entries, REPO)
        assert [entry.what for entry in told] == [
            "task_archived",
            "pull_request_merged",
            "pull_request_opened",
            "task_created",
        ]
        assert told[-1].login == "ada"
        assert {entry.task for entry in told} == {"tsk_1"}
        assert told[1].text == "Pull request #7 “Sum it” was merged"
