"""People at their browsers: the whole main job through the pages, on real parts, in Chromium.

What is live is compared with what a fresh page shows: they are the same, whatever came in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.system.browsers import PATIENCE, chromium, demo, tab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

ADDED = """
say I will look at **how** the sums are made.
plan [>] Look | Change | Test
think They are plain loops.
read tally/stats.py
pace 15
say Here is `what I found`: one two three four five six seven eight nine ten.
append README.md It has been looked at.
test
ask Commit the change?
commit Say that it has been looked at
say Done.
"""


@pytest.fixture(scope="module")
def foundry(tmp_path_factory: pytest.TempPathFactory, sandbox_agent_cache: Path) -> Iterator[dict[str, str]]:
    with demo(tmp_path_factory.mktemp("browser"), sandbox_agent_cache) as found:
        yield found


async def test_the_main_job_through_the_pages_while_somebody_else_watches(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        grace = await tab(browser, foundry["Foundry"], "Grace")
        await expect(grace.page.locator("#tasks")).not_to_contain_text("Look at the sums")

        await ada.new_task("Look at the sums", ADDED)
        row = grace.page.locator("#tasks .task-row", has_text="Look at the sums")
        await expect(row).to_be_visible(timeout=PATIENCE)
        await row.get_by_role("link", name="Look at the sums").click()
        await ada.agent("what I found").wait_for()
        await grace.agent("what I found").wait_for()

        allow = ada.page.get_by_role("button", name="Allow")
        await allow.wait_for()
        await expect(grace.page.get_by_text("The agent asks:")).to_be_visible()
        await allow.click()
        await ada.finished()
        await grace.finished()
        pull = ada.page.locator("#task-head a.pr")
        await expect(pull).to_contain_text("open", timeout=PATIENCE)
        await ada.is_as_fresh()
        await grace.is_as_fresh()

        await ada.send("Thanks\n\n```script\nsay You are welcome.\n```")
        await grace.agent("You are welcome.").wait_for()
        await ada.finished(2)

        await ada.page.locator("#task-tabs").get_by_role("link", name="Changes").click()
        await expect(ada.page.locator("#task-changes")).to_contain_text("It has been looked at.")

        await ada.page.goto(str(await pull.get_attribute("href")))
        await ada.page.get_by_role("button", name="Merge").first.click()
        await expect(grace.page.locator("#task-head")).to_contain_text("Merged", timeout=PATIENCE)
        await expect(grace.page.locator("#composer")).to_have_count(0)
        await grace.is_as_fresh()
        await grace.page.goto(f"{foundry['Foundry']}/repositories/4001")
        await expect(grace.page.locator("#history")).to_contain_text("“Look at the sums” was merged")
        assert [*ada.complaints, *grace.complaints] == []


async def test_who_signs_out_everywhere_leaves_every_open_page_which_says_why(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        laptop, phone = await tab(browser, foundry["Foundry"], "Ada"), await tab(browser, foundry["Foundry"], "Ada")
        there = phone.page.url
        await laptop.page.get_by_role("link", name="Settings of ada").click()
        await expect(laptop.page.get_by_text("This browser")).to_be_visible()
        laptop.page.on("dialog", lambda dialog: dialog.accept())
        await laptop.page.get_by_role("button", name="Sign out everywhere").click()
        for one in (laptop, phone):
            why = one.page.get_by_text("You were signed out: you signed out everywhere.")
            await expect(why).to_be_visible(timeout=5_000)
        await phone.page.get_by_role("link", name="Sign in with GitHub").click()
        await phone.page.get_by_role("button", name="Ada").first.click()
        await phone.page.wait_for_url(there)


async def test_a_message_waits_its_turn_can_be_taken_back_and_the_agent_be_stopped(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.new_task("Take your time", "say Working on it.\nsleep 60\nsay Never said.")
        await ada.agent("Working on it.").wait_for()
        await ada.send("```script\nsay First.\n```")
        await ada.send("Not this one")
        queue = ada.page.locator("#session-state .queue li")
        await expect(queue).to_have_count(2)
        await queue.filter(has_text="Not this one").get_by_role("button", name="Withdraw message").click()
        await expect(queue).to_have_count(1)
        await ada.page.get_by_role("button", name="Stop agent").click()
        await ada.agent("First.").wait_for()
        await expect(queue).to_have_count(0)
        await expect(ada.page.locator("#transcript")).to_contain_text("Stopped.")
        await expect(ada.agent("Never said.")).to_have_count(0)
        await ada.is_as_fresh()

        await ada.page.locator("#task-tabs summary", has_text="New session").click()
        await ada.page.get_by_label("First message").fill("```script\nsay I am the second.\n```")
        await ada.page.get_by_role("button", name="Open session").click()
        await ada.agent("I am the second.").wait_for()
        await expect(ada.page.locator("#task-tabs a[aria-current]")).not_to_contain_text("Changes")

        ada.page.on("dialog", lambda dialog: dialog.accept())
        await ada.page.get_by_role("button", name="Archive task").click()
        await expect(ada.page.locator("#task-head")).to_contain_text("Archived", timeout=PATIENCE)
        await expect(ada.page.locator("#composer")).to_have_count(0)
        assert ada.complaints == []


async def test_work_that_was_not_pushed_outlives_its_sandbox(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.new_task("Leave something behind", "append README.md Not committed.\nsay Left it there.")
        await ada.finished()
        checkpoints = ada.page.locator("#task-checkpoints")
        await expect(checkpoints).to_contain_text("after the agent's turn", timeout=PATIENCE)
        await expect(ada.page.locator("#task-work")).to_contain_text("Uncommitted")
        await ada.is_as_fresh()
        ada.page.on("dialog", lambda dialog: dialog.accept())
        await ada.page.get_by_role("button", name="Archive task").click()
        await expect(ada.page.locator("#task-sandbox")).to_contain_text("Deleted", timeout=PATIENCE)

        await checkpoints.get_by_role("link", name="1").click()
        await expect(ada.page.locator(".changes")).to_contain_text("+Not committed.")
        async with ada.page.expect_download() as download:
            await ada.page.get_by_role("link", name="Download patch").click()
        assert "+Not committed." in Path(await (await download.value).path()).read_text()
        await ada.page.get_by_role("link", name="New task from this checkpoint").click()
        await ada.page.get_by_label("What should change?").fill("Go on\n\n```script\ncommit What was left\n```")
        await ada.page.get_by_role("button", name="Start task").click()
        await ada.page.wait_for_url(f"{ada.url}/tasks/*")
        await ada.finished()
        await expect(ada.page.locator("#task-work")).to_contain_text("README.md", timeout=PATIENCE)
        await expect(ada.page.locator("#task-work")).not_to_contain_text("Uncommitted")
        assert ada.complaints == []


async def test_who_may_only_read_sees_everything_and_no_button(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.new_task("Ask and wait", "say Before.\nask May I?\nsay After.")
        await ada.page.get_by_role("button", name="Allow").wait_for()
        linus = await tab(browser, foundry["Foundry"], "Linus")
        await linus.page.goto(ada.page.url)
        await linus.agent("Before.").wait_for()
        may = await linus.page.locator("#composer").count()
        assert (await linus.page.get_by_role("button", name="Allow").count() > 0) == (may > 0)
        await ada.page.get_by_role("button", name="Reject").click()
        await ada.finished()
        await linus.finished()
        await linus.is_as_fresh()


async def test_a_refused_new_task_keeps_what_was_typed(foundry: dict[str, str]) -> None:
    async with chromium() as browser:
        ada = await tab(browser, foundry["Foundry"], "Ada")
        await ada.page.goto(f"{foundry['Foundry']}/organizations/2001/new")
        await ada.page.get_by_label("What should change?").fill("Something long that nobody wants to type twice")
        await ada.page.get_by_text("Title, branch, agent").click()
        await ada.page.get_by_label("Branch").fill("bad..name")
        await ada.page.get_by_role("button", name="Start task").click()
        await expect(ada.page.locator("#problem")).to_contain_text("git does not allow")
        await expect(ada.page.get_by_label("What should change?")).to_have_value(re.compile("nobody wants"))
        await expect(ada.page.get_by_label("Branch")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
async def test_no_page_is_wider_than_its_window(foundry: dict[str, str], width: int, scheme: Any) -> None:
    async with chromium() as browser:
        ada = await tab(
            browser, foundry["Foundry"], "Ada", viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        url = foundry["Foundry"]
        await ada.page.goto(f"{url}/organizations/2001?archived=1")
        task = str(await ada.page.locator(".task-row a.title").first.get_attribute("href"))
        pages = ("/organizations/2001", "/organizations/2001/new", "/organizations/2001/issues", "/repositories/4001",
                 task, f"{task}/changes", "/nowhere")  # fmt: skip
        for path in pages:
            await ada.page.goto(url + path)
            assert await ada.page.evaluate("document.documentElement.scrollWidth") <= width, path
            contrast = await ada.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert contrast != "rgba(0, 0, 0, 0)"
