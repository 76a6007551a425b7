"""GitHubState's tables. Times are Unix milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Text

from foundry.runtime.store.tables import owned_table

github_states = owned_table(
    "GitHubState",
    "github_states",
    Column("github", String, primary_key=True),  # `app` or the organization
    Column("installation", BigInteger),
    Column("login", String, nullable=False, server_default=""),
    Column("name", String, nullable=False, server_default=""),
    Column("avatar_url", String, nullable=False, server_default=""),
    Column("personal", Boolean, nullable=False, server_default="0"),
    Column("active", Boolean, nullable=False, server_default="1"),
    Column("sync_again", Boolean, nullable=False, server_default="0"),  # something changed while it ran
    Column("synced_at", BigInteger),
    Column("trouble", Text, key="failure", nullable=False, server_default=""),
    Column("fingerprint", String),  # of the issue that the last failed sync left
    Column("access_number", BigInteger, nullable=False, server_default="0"),  # of the last change or listing
)

github_installations = owned_table(  # the key `app` alone has these
    "GitHubState",
    "github_installations",
    Column("github", String, primary_key=True),
    Column("installation", BigInteger, primary_key=True, autoincrement=False),
    Column("organization", String, nullable=False),
    Column("login", String, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("removed", Boolean, nullable=False, server_default="0"),  # for good; GitHub never uses the id again
)

github_deliveries = owned_table(  # the key `app` alone has these
    "GitHubState",
    "github_deliveries",
    Column("github", String, primary_key=True),
    Column("delivery", String, primary_key=True),
    Column("event", String, nullable=False),
    Column("action", String, nullable=False),
    Column("installation", BigInteger),
    Column("outcome", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("github_deliveries_at", "github", "at"),
)

github_repositories = owned_table(
    "GitHubState",
    "github_repositories",
    Column("github", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("ref", Text, nullable=False),  # RepositoryRef
    Column("updated_at", BigInteger),  # GitHub's clock, of the last event
)

github_members = owned_table(
    "GitHubState",
    "github_members",
    Column("github", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("login", String, nullable=False),
    Column("role", String, nullable=False, server_default="member"),  # Role: owner or member
)

github_pull_requests = owned_table(
    "GitHubState",
    "github_pull_requests",
    Column("github", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False),
    Column("head", String, nullable=False),
    Column("updated_at", BigInteger, nullable=False),  # GitHub's clock; 0: GitHub has not described it yet
    Column("view", Text, nullable=False),  # PullRequestView
    Index("github_pull_requests_state", "github", "state"),
)

github_permissions = owned_table(
    "GitHubState",
    "github_permissions",
    Column("github", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("login", String, primary_key=True),  # lowercase
    Column("access", String, nullable=False),
    Column("checked_at", BigInteger, nullable=False),
)

# what people may do (contracts/github_access.py)

github_reaches = owned_table(  # the key `app` alone has these
    "GitHubState",
    "github_reaches",
    Column("github", String, primary_key=True),
    Column("person", String, primary_key=True),
    Column("installations", Text, nullable=False),  # JSON
    Column("single_sign_on", Text, nullable=False),  # JSON: organizations
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

github_listings = owned_table(
    "GitHubState",
    "github_listings",
    Column("github", String, primary_key=True),
    Column("person", String, primary_key=True),
    Column("role", String, nullable=False),  # Role
    Column("done", BigInteger, nullable=False),  # the last whole round; 0: there was none
    Column("at", BigInteger, nullable=False),  # when that round began
    Column("torn", Boolean, nullable=False, server_default="0"),  # that round's pages do not fit together
    Column("single_sign_on", Boolean, nullable=False, server_default="0"),  # GitHub refuses until then
    Column("round", BigInteger, nullable=False, server_default="0"),  # the latest
    Column("page", Integer),  # that this round reads next; none: it has ended
    Column("again", Integer, nullable=False, server_default="0"),  # how often it began again
    Column("began_at", BigInteger, nullable=False, server_default="0"),
    Column("progressed_at", BigInteger, nullable=False, server_default="0"),
    Column("questions", Integer, nullable=False, server_default="0"),  # that the App has asked in this hour
    Column("questions_since", BigInteger, nullable=False, server_default="0"),
)

github_listing_pages = owned_table(
    "GitHubState",
    "github_listing_pages",
    Column("github", String, primary_key=True),
    Column("person", String, primary_key=True),
    Column("page", Integer, primary_key=True, autoincrement=False),
    Column("etag", Text, nullable=False),
    Column("last", Boolean, nullable=False),
    Column("total", Integer, nullable=False),  # repositories on all pages
    Column("round", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

github_access = owned_table(
    "GitHubState",
    "github_access",
    Column("github", String, primary_key=True),
    Column("person", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("access", String, nullable=False),  # Access
    Column("page", Integer, nullable=False),  # of the listing; 0: of none
    Column("number", BigInteger, nullable=False),  # of the question; the page's round may be later
    Column("at", BigInteger, nullable=False),  # of the question; the page's may be later
)

github_access_changes = owned_table(
    "GitHubState",
    "github_access_changes",
    Column("github", String, primary_key=True),
    Column("person", String, primary_key=True),  # empty: everybody
    Column("repository", String, primary_key=True),  # empty: each
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)
