"""Which addresses are understood, as what, and which are refused."""

from __future__ import annotations

from typing import Final

import httpx
import pytest
from hypothesis import given, strategies as st

from trickle_cli.client import Endpoint
from trickle_cli.errors import BadAddress
from trickle_cli.protocol.names import check_channel_name
from trickle_cli.protocol.requests import Subscribe, encode

#: What is given, and the URL of the channel that it means.
GOOD: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "a name alone is on this machine": (("cam",), "http://127.0.0.1:2939/cam"),
    "a name on a server": (("cam", "http://host:8000"), "http://host:8000/cam"),
    "a slash at the end": (("cam", "http://host:8000/"), "http://host:8000/cam"),
    "a base path": (("cam", "http://host/live"), "http://host/live/cam"),
    "a base path of many parts": (("cam", "http://host/a/b/"), "http://host/a/b/cam"),
    "a base path that is percent-encoded": (
        ("cam", "http://host/a%20b%2Fc"),
        "http://host/a%20b%2Fc/cam",
    ),
    "a URL": (("http://host:8000/cam",), "http://host:8000/cam"),
    "a URL with a base path": (("http://host/live/cam",), "http://host/live/cam"),
    "a URL with a slash at its end": (
        ("http://host/live/cam/",),
        "http://host/live/cam",
    ),
    "a URL counts, not the server": (
        ("http://host/cam", "http://other:1/x"),
        "http://host/cam",
    ),
    "the port of the scheme is left out": (("http://host:80/cam",), "http://host/cam"),
    "https": (("https://host/cam",), "https://host/cam"),
    "https has its own port": (("https://host:443/cam",), "https://host/cam"),
    "the other one's port is told": (("https://host:80/cam",), "https://host:80/cam"),
    "an empty port": (("http://host:/cam",), "http://host/cam"),
    "capitals": (("HTTP://HOST/Cam",), "http://host/Cam"),
    "IPv4": (("http://10.0.0.1:1/cam",), "http://10.0.0.1:1/cam"),
    "IPv6": (("cam", "http://[::1]:8000"), "http://[::1]:8000/cam"),
    "IPv6 without a port": (("http://[fe80::1]/cam",), "http://[fe80::1]/cam"),
    "a name of another script": (
        ("http://bücher.example/cam",),
        "http://xn--bcher-kva.example/cam",
    ),
    "a name with a space": (("my cam",), "http://127.0.0.1:2939/my%20cam"),
    "a name that is not ASCII": (("käse",), "http://127.0.0.1:2939/k%C3%A4se"),
    "a name with a percent sign": (("50%",), "http://127.0.0.1:2939/50%25"),
    "a name that looks encoded": (("a%20b",), "http://127.0.0.1:2939/a%2520b"),
    "a name with what else means something": (
        ("a?b#c:d@e&f",),
        "http://127.0.0.1:2939/a%3Fb%23c%3Ad%40e%26f",
    ),
    "an encoded name in a URL": (("http://host/my%20cam",), "http://host/my%20cam"),
    "an encoded question mark in a URL": (("http://host/a%3Fb",), "http://host/a%3Fb"),
    "a name in a URL that is not ASCII": (
        ("http://host/käse",),
        "http://host/k%C3%A4se",
    ),
    "a channel of the server's": (("_changes",), "http://127.0.0.1:2939/_changes"),
}

BAD: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "no name": (("",), "cannot be empty"),
    "a slash in the name": (("a/b",), "contains '/'"),
    "an encoded slash in a URL": (("http://host/a%2Fb",), "contains '/'"),
    "a control character": (("a\nb",), "control characters"),
    "an encoded control character": (("http://host/a%0Ab",), "control characters"),
    "a step": (("..",), "path step"),
    "a step in a URL": (("http://host/live/..",), "path step"),
    "a name that is too long": (("x" * 256,), "256 bytes"),
    "a name that is not UTF-8": (("http://host/%ff",), "not valid UTF-8"),
    "a server without a channel": (("http://host",), "no channel"),
    "a server with a slash": (("http://host:8000/",), "no channel"),
    "nothing but a scheme": (("http://",), "not the URL of a server"),
    "no host": (("http:///cam",), "not the URL of a server"),
    "no scheme": (("cam", "host:8000"), "not the URL of a server"),
    "nothing": (("cam", ""), "not the URL of a server"),
    "another scheme": (("ftp://host/cam",), "not the URL of a server"),
    "a port that is no number": (("http://host:x/cam",), "not a URL"),
    "a port that is too large": (("http://host:65536/cam",), "not a URL"),
    "port 0": (("http://host:0/cam",), "not the URL of a server"),
    "a bracket that is not closed": (("cam", "http://[::1"), "not a URL"),
    "an empty label": (("cam", "http://a..b"), "not a URL"),
    "a label that is too long": (("cam", f"http://{'a' * 64}/"), "not a URL"),
    "a user": (("http://me@host/cam",), "cannot have"),
    "a password": (("cam", "http://me:secret@host"), "cannot have"),
    "a query at the server": (("cam", "http://host/?a=b"), "cannot have"),
    "a fragment at the server": (("cam", "http://host/#a"), "cannot have"),
    "a query at the channel": (("http://host/cam?a=b",), "cannot have"),
    "a query that has a slash": (("http://host/cam?a=/b",), "cannot have"),
    "a fragment at the channel": (("http://host/cam#a",), "cannot have"),
    "a space in the base path": (("cam", "http://host/a b"), "percent-encoded"),
    "a base path that is not ASCII": (("cam", "http://host/ä"), "percent-encoded"),
    "a quote in the base path": (("cam", 'http://host/"a"'), "percent-encoded"),
    "a step in the base path": (("cam", "http://host/a/../b"), "path step"),
    "no step at all in the base path": (("http://host/a/./cam",), "path step"),
}


@pytest.mark.parametrize(("given_", "url"), GOOD.values(), ids=GOOD)
def test_an_address_means_a_channel(given_: tuple[str, ...], url: str) -> None:
    assert str(Endpoint.parse(*given_)) == url


@pytest.mark.parametrize(("given_", "why"), BAD.values(), ids=BAD)
def test_an_address_that_means_none_is_refused_and_told_why(
    given_: tuple[str, ...], why: str
) -> None:
    with pytest.raises(BadAddress) as caught:
        Endpoint.parse(*given_)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_address_is_taken_apart() -> None:
    assert Endpoint.parse("https://[::1]:8000/live/my%20cam/") == Endpoint(
        scheme="https", host="::1", port=8000, base_path="/live/", channel="my cam"
    )


def test_the_parts_are_put_together_for_a_host_field_and_for_messages() -> None:
    endpoint = Endpoint.parse("https://[::1]:8000/live/cam")
    assert endpoint.authority == "[::1]:8000"
    assert endpoint.server == "https://[::1]:8000/live"
    assert Endpoint.parse("https://host/cam").authority == "host"


def _is_name(text: str) -> bool:
    try:
        check_channel_name(text)
    except BadAddress:
        return False
    return True


_NAMES: Final = st.text(min_size=1, max_size=60).filter(
    lambda text: _is_name(text) and not text.startswith("unix:")  # that is a URL
)


@given(_NAMES, st.sampled_from(["http://host", "https://[::1]:8000/a%20b/c/"]))
def test_the_url_of_a_channel_means_that_channel(name: str, server: str) -> None:
    endpoint = Endpoint.parse(name, server)
    assert endpoint.channel == name
    assert Endpoint.parse(str(endpoint)) == endpoint


@given(
    _NAMES, st.sampled_from(["http://host", "http://host/a%20b%2Fc/~d:@!$&'()*+,;="])
)
def test_both_ways_to_send_a_request_name_the_same_path(name: str, server: str) -> None:
    endpoint = Endpoint.parse(name, server)
    raw = encode(
        Subscribe(name, 7), host=endpoint.authority, base_path=endpoint.base_path
    )
    assert raw.split(b" ")[1] == httpx.URL(f"{endpoint}/7").raw_path


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_given_is_understood_or_refused(channel: str, rest: str) -> None:
    for args in ((channel,), (f"http://{rest}",), (channel, f"http://{rest}")):
        try:
            endpoint = Endpoint.parse(*args)
        except BadAddress:
            continue
        assert str(endpoint).isascii()
        encode(
            Subscribe(endpoint.channel, 0),
            host=endpoint.authority,
            base_path=endpoint.base_path,
        )
