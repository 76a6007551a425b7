"""Sign-in: what the person is sent to GitHub with, and what comes of the code they bring back."""

from __future__ import annotations

import traceback
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest

from foundry.contracts.github_payloads import GitHubInstallation, GitHubReachedRepository
from foundry.github.client import GitHub
from foundry.github.errors import GitHubSignInFailed, GitHubUnavailable
from foundry.github.oauth import OAuth
from tests.actors.github_stage import Sample

BACK, VERIFIER = "http://127.0.0.1:1/back", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


async def code_of_ada(oauth: OAuth, sample: Sample, http: httpx.AsyncClient) -> str:
    query = urlsplit(oauth.authorize_url(redirect_uri=BACK, state="s1", verifier=VERIFIER)).query
    form = {name: values[0] for name, values in parse_qs(query).items()} | {"login": "ada"}
    posted = await http.post(f"{sample.url}/login/oauth/choose", data=form, follow_redirects=False)
    return parse_qs(urlsplit(posted.headers["location"]).query)["code"][0]


def test_the_verifier_stays_here_and_its_hash_goes_to_github() -> None:
    oauth = OAuth("https://github.test/", "Iv1.x", "secret", httpx.AsyncClient())
    url = urlsplit(oauth.authorize_url(redirect_uri=BACK, state="s1", verifier=VERIFIER))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://github.test/login/oauth/authorize"
    assert query == {
        "client_id": "Iv1.x",
        "redirect_uri": BACK,
        "state": "s1",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # RFC 7636, appendix B
        "code_challenge_method": "S256",
    }


async def test_a_code_gives_tokens_once(sample: Sample, http: httpx.AsyncClient, github: GitHub) -> None:
    oauth = sample.oauth(http)
    code = await code_of_ada(oauth, sample, http)
    token = await oauth.exchange(code=code, redirect_uri=BACK, verifier=VERIFIER)
    assert (await github.user(token.access_token)).login == "ada"
    with pytest.raises(GitHubSignInFailed):
        await oauth.exchange(code=code, redirect_uri=BACK, verifier=VERIFIER)


async def test_a_code_is_of_no_use_to_who_lacks_the_verifier(sample: Sample, http: httpx.AsyncClient) -> None:
    oauth = sample.oauth(http)
    code = await code_of_ada(oauth, sample, http)
    with pytest.raises(GitHubSignInFailed):
        await oauth.exchange(code=code, redirect_uri=BACK, verifier="x" * 43)


async def test_a_refresh_token_is_used_up_by_its_use(sample: Sample, http: httpx.AsyncClient, github: GitHub) -> None:
    oauth = sample.oauth(http)
    code = await code_of_ada(oauth, sample, http)
    first = await oauth.exchange(code=code, redirect_uri=BACK, verifier=VERIFIER)
    assert first.refresh_token
    second = await oauth.refresh(first.refresh_token)
    assert (await github.user(second.access_token)).login == "ada"
    with pytest.raises(GitHubSignInFailed):
        await oauth.refresh(first.refresh_token)


async def test_what_a_person_may_see_is_asked_with_their_token(
    sample: Sample, http: httpx.AsyncClient, github: GitHub
) -> None:
    oauth = sample.oauth(http)
    token = await oauth.exchange(code=await code_of_ada(oauth, sample, http), redirect_uri=BACK, verifier=VERIFIER)
    ada = github.as_token(token.access_token)
    installations = await ada.all("/user/installations", GitHubInstallation, key="installations")
    assert {i.account.login for i in installations} >= {"lumen-works", "north-harbor"}
    url = "/user/installations/3001/repositories"
    repositories = await ada.all(url, GitHubReachedRepository, key="repositories")
    assert {(str(r.id), r.access) for r in repositories} >= {("4001", "admin")}


async def test_a_token_that_ended_means_to_sign_in_again(github: GitHub) -> None:
    with pytest.raises(GitHubSignInFailed, match="no longer accepts"):
        await github.user("ghu_gone")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            httpx.Response(200, json={"error": "bad_verification_code", "error_description": "It expired."}),
            "It expired",
        ),
        (httpx.Response(200, text="access_token=x"), "not valid JSON"),
    ],
)
async def test_a_refused_sign_in_says_why(answer: httpx.Response, error: str) -> None:
    oauth = OAuth(
        "https://github.test", "id", "secret", httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer))
    )
    with pytest.raises(GitHubSignInFailed, match=error):
        await oauth.exchange(code="c", redirect_uri=BACK, verifier=VERIFIER)


async def test_a_github_that_is_away_may_be_asked_again() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("slow", request=request)

    for answer in (away, lambda _: httpx.Response(502)):
        oauth = OAuth("https://github.test", "id", "s", httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        with pytest.raises(GitHubUnavailable):
            await oauth.refresh("r")


NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
MAYBE_SENT = (httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


@pytest.mark.parametrize("kind", [*NOT_SENT, *MAYBE_SENT])
async def test_a_request_that_never_left_is_told_from_one_that_may_have_arrived(
    kind: type[httpx.TransportError],
) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise kind("broken", request=request)

    oauth = OAuth("https://github.test", "id", "s", httpx.AsyncClient(transport=httpx.MockTransport(broken)))
    with pytest.raises(GitHubUnavailable) as caught:
        await oauth.refresh("r")
    assert caught.value.sent is (kind in MAYBE_SENT)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": "bad_refresh_token", "error_description": "It is used."}, "bad_refresh_token"),
        ({"access_token": "ghu_secret", "expires_in": "soon"}, ""),
        (["ghu_secret"], ""),
    ],
)
async def test_a_refusal_has_githubs_code_and_never_the_token(body: object, error: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    oauth = OAuth("https://github.test", "id", "s", httpx.AsyncClient(transport=transport))
    with pytest.raises(GitHubSignInFailed) as caught:
        await oauth.refresh("r")
    assert caught.value.error == error
    assert "ghu_secret" not in "".join(traceback.format_exception(caught.value))
