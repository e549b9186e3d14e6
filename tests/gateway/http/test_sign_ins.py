"""Where providers send browsers back to: what they said goes on to the page, whatever it is."""

from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.gateway.http.conftest import Api

URL: Final = "/sign-in/return/apple"
DEEP: Final = '{"x":' + "[" * 2_000


async def fragment(api: Api, said: dict[str, str], *, method: str) -> dict[str, str]:
    """What stands behind the # of where the browser is sent on."""
    asked = urlencode(said)
    if method == "GET":
        response = await api.client.get(f"{URL}?{asked}", allow_redirects=False)
    else:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = await api.client.post(URL, data=asked.encode(), headers=headers, allow_redirects=False)
    assert response.status == 303, await response.text()
    return {name: value for name, (value,) in parse_qs(urlsplit(response.headers["Location"]).fragment).items()}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_name_that_apple_says_goes_on_and_what_is_none_stays_here(api: Api, method: str) -> None:
    anna = '{"name":{"firstName":"Anna","lastName":"Beispiel"},"email":"a@example.org"}'
    for user, name in ((anna, {"name": "Anna Beispiel"}), ("", {}), ("[", {}), ("{}", {}), (DEEP, {})):
        passed = await fragment(api, {"state": "s", "user": user}, method=method)
        assert passed == {"state": "s", "provider": "apple", **name}
