"""The composition root: the only place where rooms are wired together.

`assemble` builds one server's parts from its settings, `Server` runs them inside a loop, `create_app` puts the edge in
front of them, and `serve` listens.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import httpx2 as httpx
import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from foundry import __version__, api, web
from foundry.actors.app_shell.actor import AppShell
from foundry.actors.app_shell.config import IDLE, AppShellConfig
from foundry.actors.encryption import Sealer, WrongKey, keys_in, load_or_create_key
from foundry.actors.github_state import branch_poller as branches_reconciling
from foundry.actors.github_state import workflows as github_state_workflows
from foundry.actors.github_state.actor import GitHubState
from foundry.actors.github_state.config import GitHubConfig
from foundry.actors.github_state.door import GitHubOutside
from foundry.actors.github_state.person_tokens import PersonTokens
from foundry.actors.history.actor import History
from foundry.actors.organization.actor import Organization
from foundry.actors.repository.actor import Repository
from foundry.actors.sandbox_instance import sandbox_reconciler as sandboxes_reconciling
from foundry.actors.sandbox_instance import workflows as sandbox_instance_workflows
from foundry.actors.sandbox_instance.actor import SandboxInstance
from foundry.actors.sandbox_instance.door import Sandboxes
from foundry.actors.sandbox_instance.views import endpoint, running
from foundry.actors.secret_keys import SecretKeys
from foundry.actors.session_status_sync.actor import SessionStatusSync
from foundry.actors.session_status_sync.times import StreamTimes
from foundry.actors.session_status_sync.worker import reader
from foundry.actors.task import workflows as task_workflows
from foundry.actors.task.actor import Task
from foundry.actors.task.config import TaskConfig
from foundry.actors.task.views import open_branches, organizations_with_open_tasks
from foundry.actors.task_session import agent_reaper as agents_reconciling
from foundry.actors.task_session import workflows as task_session_workflows
from foundry.actors.task_session.actor import TaskSession
from foundry.actors.task_session.door import AcpDoor
from foundry.actors.user_github_data.actor import UserGitHubData
from foundry.actors.user_github_data.sealed import SealedPersonTokens
from foundry.actors.user_github_data.views import sealed_tokens, unchecked
from foundry.actors.watchdog import WATCHDOG, Watchdog
from foundry.api.access_asker import AccessAsker
from foundry.api.admin_token import AdminTokenFile
from foundry.api.audit import record_rotation
from foundry.api.context import Foundry
from foundry.api.metrics import Metrics
from foundry.contracts import addresses
from foundry.contracts.app_shell import OpenAppShell
from foundry.contracts.doors import AgentDoor, GitHubDoor, SandboxDoor
from foundry.contracts.errors import FoundryError
from foundry.contracts.github_state import SyncInstallations
from foundry.contracts.ids import SandboxId, UserId
from foundry.contracts.sandbox_provider import Endpoint
from foundry.contracts.sign_in import BY_MEMBERSHIP, SignInPolicy
from foundry.contracts.user_github_data import CheckTokens, SealedTokens
from foundry.github.client import GitHub, http_client
from foundry.github.oauth import OAuth
from foundry.runtime.async_tools import ended
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store import server_secrets
from foundry.runtime.store.blobs import Blobs
from foundry.runtime.store.migrate import contracted, migrate, open_store
from foundry.runtime.store.sqlite import lock_directory
from foundry.runtime.workflow.flow import Workflows
from foundry.sandboxes.local import install, isolation
from foundry.sandboxes.local.provider import LocalProvider
from foundry.settings import Settings, check

AGENTS = ("claude", "codex", "opencode", "amp", "mock")
DRAIN = 5  # seconds that open requests get at a stop
STREAMS = StreamTimes()
RECONCILE = 60.0  # seconds between two looks at what there is beside what is recorded
CONTRACT = 10.0  # seconds between two looks whether a server of the last release still lives
STOP_LIMIT = 10.0  # seconds from the signal to the end, even if a database that stands still holds a thread

log = structlog.get_logger("foundry.app")


class PortTaken(FoundryError, code="port_taken", status=409):
    """Another program listens on the address."""

    remedy = "Choose another port with --port, or stop the other program."


@dataclass(frozen=True)
class Outside:
    """`foundry.contracts.doors.Doors`."""

    github: GitHubDoor
    sandboxes: SandboxDoor
    agents: AgentDoor


def house(
    watchdog: Watchdog = WATCHDOG,
    idle: timedelta | None = None,
    reconcile: float = RECONCILE,
    archived: timedelta | None = None,
    min_free: int = 0,
    streams: StreamTimes = STREAMS,
    session_idle: timedelta = IDLE,
    policy: SignInPolicy = BY_MEMBERSHIP,
) -> House:
    """Every actor kind, workflow and worker there is (R28)."""
    actors = (
        AppShell(AppShellConfig(session_idle)), GitHubState(GitHubConfig(policy)), UserGitHubData(), Organization(),
        Repository(), History(), Task(TaskConfig(watchdog, idle, archived)), TaskSession(watchdog), SessionStatusSync(),
        SandboxInstance(),
    )  # fmt: skip
    workflows = Workflows().add(
        *github_state_workflows.WORKFLOWS,
        *task_workflows.WORKFLOWS,
        *task_session_workflows.WORKFLOWS,
        *sandbox_instance_workflows.WORKFLOWS,
    )
    workers = (
        reader(streams),
        sandboxes_reconciling.reconciler(reconcile, min_free),
        agents_reconciling.reconciler(running, reconcile),
        branches_reconciling.reconciler(organizations_with_open_tasks, open_branches, reconcile),
    )
    return House(actors, addresses.coordinator, workflows, workers)


class Server:
    """One Foundry: its parts, from the lock on the data directory to the doors."""

    def __init__(
        self,
        settings: Settings,
        *,
        progress: Callable[[str], None] = lambda text: None,
        reconcile: float = RECONCILE,
        streams: StreamTimes = STREAMS,
    ) -> None:
        self.settings = settings
        self._reconcile = reconcile
        self._streams = streams
        self._progress = progress
        self._lock: IO[str] | None = None

    async def start(self) -> Foundry:
        """1. Lock and migrate. 2. Secrets. 3. Doors. 4. The runtime. 5. What every start asks."""
        settings = self.settings
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        url = settings.database_url or f"sqlite:///{settings.data_dir / 'foundry.db'}"
        if url.startswith("sqlite"):
            self._lock = lock_directory(settings.data_dir)
        await asyncio.to_thread(migrate, url)
        workflow_url = f"sqlite:///{settings.data_dir / 'workflows.db'}" if url.startswith("sqlite") else url

        given = settings.secret_key.get_secret_value().encode()
        key_file = None if given else settings.data_dir / "secret.key"
        material = load_or_create_key(key_file) if key_file else given
        sealer = Sealer(keys_in(material, b"\n" if key_file else b","))
        idle = timedelta(minutes=settings.idle_minutes) or None
        archived = timedelta(minutes=settings.archived_minutes) or None
        min_free = int(settings.min_free_mb * 1_000_000)
        signed_in = timedelta(days=settings.session_idle_days)
        policy = SignInPolicy(organizations=settings.allowed_organizations, logins=settings.allowed_logins)
        declared = house(
            Watchdog(settings.watchdog), idle, self._reconcile, archived, min_free, self._streams, signed_in, policy
        )
        self.runtime = Runtime(declared, open_store(url), workflow_url=workflow_url)
        self._http: httpx.AsyncClient = http_client()
        github = GitHub(
            settings.github_api_url, self._http, app_id=settings.github_app_id, private_key=settings.private_key()
        )
        oauth = OAuth(
            settings.github_web_url,
            settings.github_client_id,
            settings.github_client_secret.get_secret_value(),
            self._http,
        )
        self._persons = PersonTokens(
            self._tokens_of, self.runtime.ask, sealer, oauth, public_url=settings.url, identify=github.user
        )
        github_door = GitHubOutside(github, self.runtime.read, self._persons)
        self._boxes = await self._sandboxes(await asyncio.to_thread(sandbox_secret, url, sealer, material))
        doors = Outside(
            github=github_door,
            sandboxes=self._boxes,
            agents=AcpDoor(self._boxes.reach, self._boxes.directory, self._boxes.started, self._boxes.stopped),
        )
        await self.runtime.start(doors)
        self._contraction = asyncio.create_task(contract(url), name="contraction of the database")
        await self.runtime.ask(addresses.app_shell(), OpenAppShell())
        if settings.github_configured:
            await self.runtime.ask(addresses.github_app(), SyncInstallations())
        for user in await self.runtime.read(unchecked):
            await self.runtime.ask(addresses.user_github_data(user), CheckTokens())
        metrics = Metrics()
        self._asker = AccessAsker(self.runtime, github_door.access, lambda: datetime.now(UTC), metrics)
        foundry = Foundry(
            runtime=self.runtime,
            asker=self._asker,
            metrics=metrics,
            sealer=sealer,
            public_url=settings.url,
            admin_token=AdminTokenFile(settings.data_dir, lambda: record_rotation(foundry)),
            webhook_secret=settings.github_webhook_secret.get_secret_value(),
            agents=tuple(dict.fromkeys((settings.default_agent, *AGENTS, *settings.agent_launchers))),
            default_agent=settings.default_agent,
            auto_publish=settings.auto_publish,
            oauth=oauth if settings.github_client_id else None,
            identify=github.user,
            room=self._boxes.room,
            sign_in_policy=policy,
            secret_keys=SecretKeys(
                sealer,
                (SealedPersonTokens(self.runtime), server_secrets.ServerSecrets(self.runtime)),
                material,
                key_file,
                self.runtime.alone,
            ),
        )
        foundry.admin_token()  # known from the start, so that a replacement is noticed
        return foundry

    async def stop(self) -> None:
        """In bounded time. Sandboxes and their agents go on; the next start finds them."""
        await ended({self._contraction})
        await self._asker.stop()
        await self._persons.close()
        await self.runtime.stop()
        await self._boxes.close()
        await self._http.aclose()
        if self._lock:
            self._lock.close()

    async def _tokens_of(self, user: UserId) -> SealedTokens:
        return await self.runtime.read(sealed_tokens, user)

    async def _sandboxes(self, secret: bytes) -> Sandboxes:
        binary = await install.install(self.settings.data_dir, self._progress)
        provider = LocalProvider(
            self.settings.data_dir,
            launchers=self.settings.agent_launchers,
            extra_read_only=[*isolation.python_paths(), Path(__file__).parent.parent],
            binary=binary,
        )
        if provider.warning:
            log.warning("sandboxes are not isolated", reason=provider.warning)
        git = await asyncio.to_thread(provider.find_git)
        if git.warning:
            log.warning("a git is not visible inside sandboxes", reason=git.warning)

        async def known(sandbox: SandboxId) -> Endpoint | None:
            return await self.runtime.read(endpoint, sandbox)

        return Sandboxes(provider, secret, known, Blobs(self.runtime), git=git.path)


async def contract(url: str) -> None:
    """Take away what the last release used, once none of its servers lives."""
    while not await asyncio.to_thread(contracted, url):
        await asyncio.sleep(CONTRACT)
        try:
            if await asyncio.to_thread(migrate, url):
                log.info("the database is contracted: nothing of the last release is left in it")
        except DBAPIError as error:  # away, or what is to go is in use at the moment
            log.info("the database is contracted later", reason=str(error.orig))


def sandbox_secret(url: str, sealer: Sealer, material: bytes) -> bytes:
    """What the tokens of sandboxes are derived from (docs/decisions/0020).

    It is made once, from the server's key as release 0.3 read it, and is the same on all servers of one database. It
    does not change when the server's key does.
    """
    kept = server_secrets.kept(url, "sandbox tokens", sealer.seal(base64.b64encode(material).decode()))
    try:
        return base64.b64decode(sealer.unseal(kept))
    except WrongKey as error:
        log.warning("sandboxes that run have to be started again: their secret cannot be read", reason=error.detail)
        return material


def create_app(settings: Settings, *, progress: Callable[[str], None] = lambda text: None) -> FastAPI:
    """The server as an ASGI application; its parts live from start-up to shutdown."""
    server = Server(settings, progress=progress)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            app.state.foundry = foundry = await server.start()
        except FoundryError as refusal:
            app.state.refusal = refusal  # for `serve` to say
            raise
        try:
            yield
        finally:
            foundry.close_streams()
            await foundry.settled()
            await server.stop()

    app = FastAPI(title="Foundry", version=__version__, lifespan=lifespan)
    api.install(app)
    web.install(app)
    return app


def listen(settings: Settings) -> socket.socket:
    """The listening socket.

    Raises:
        PortTaken: something else listens there.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise PortTaken(f"{settings.host}:{settings.port}: {error.strerror}", field="port") from None
    listener.listen(512)
    return listener


def serve(settings: Settings, *, listener: socket.socket | None = None, ready: Callable[[str], None] | None = None,
          progress: Callable[[str], None] = lambda text: None) -> None:  # fmt: skip
    """Listen until told to stop. `ready` is called with the URL once requests are taken.

    Raises:
        FoundryError: it could not start; the message says why and what to do.
    """
    check(settings)
    set_up_logging(settings.log_level)
    listener = listener or listen(settings)
    port = listener.getsockname()[1]
    settings = settings.model_copy(update={"port": port})
    app = create_app(settings, progress=progress)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=DRAIN, lifespan="on", loop="uvloop"
    )
    server = _Uvicorn(config, settings.url, ready)
    logging.getLogger("uvicorn.error").addFilter(lambda record: not hasattr(app.state, "refusal"))  # no traceback of it
    try:
        server.run(sockets=[listener])
    except SystemExit:
        if refusal := getattr(app.state, "refusal", None):
            raise refusal from None
        raise


class _Uvicorn(uvicorn.Server):
    """uvicorn, which tells when it is ready, and ends open event streams when it is told to stop."""

    def __init__(self, config: uvicorn.Config, url: str, ready: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._url, self._ready = url, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready and not self.should_exit:
            self._ready(self._url)

    def handle_exit(self, sig: int, frame: object) -> None:
        super().handle_exit(sig, frame)  # pyright: ignore[reportArgumentType]
        foundry: Foundry | None = getattr(getattr(self.config.app, "state", None), "foundry", None)
        if foundry is not None:
            foundry.close_streams()
        last = threading.Timer(STOP_LIMIT, _end_at_once)
        last.daemon = True
        last.start()
        if sig == signal.SIGINT:
            self.force_exit = False  # Ctrl-C once is a graceful stop too


def _end_at_once() -> None:
    """As kill -9 would: nothing that was acknowledged is lost."""
    log.error("the stop hangs and is not waited for")
    os._exit(1)


def set_up_logging(level: str) -> None:
    """One line an event on standard error, ours and the libraries'."""
    number = logging.getLevelNamesMapping()[level]
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S"),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
