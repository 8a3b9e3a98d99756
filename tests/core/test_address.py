"""What stands in an address, and what is wrong with one, in one line."""

from __future__ import annotations

import pytest

from zmcache.core.address import parse_address
from zmcache.errors import ConfigError


@pytest.mark.parametrize(
    ("address", "endpoints", "options"),
    [
        ("mem://", (), {}),
        ("mem://?timeout=50ms", (), {"timeout": 0.05}),
        ("zmcache://a:1,b:2/?timeout=50ms&on_error=miss", ("tcp://a:1", "tcp://b:2"), {"timeout": 0.05, "on_error": "miss"}),
        ("a:1, b:2", ("tcp://a:1", "tcp://b:2"), {}),
        ("[::1]:7401/?route=any", ("tcp://[::1]:7401",), {"route": "any"}),
        ("tcp://a:1", ("tcp://a:1",), {}),
        ("ipc:///run/z.sock", ("ipc:///run/z.sock",), {}),
        ("ipc:///run/z.sock?timeout=2", ("ipc:///run/z.sock",), {"timeout": 2.0}),
        ("ipc:///run/a.sock,ipc:///run/b.sock/?timeout=2", ("ipc:///run/a.sock", "ipc:///run/b.sock"), {"timeout": 2.0}),
        ("ipc://@abstract", ("ipc://@abstract",), {}),
        (f"ipc:///{'x' * 106}", (f"ipc:///{'x' * 106}",), {}),
    ],
)  # fmt: skip
def test_an_address_is_endpoints_and_options(
    address: str, endpoints: tuple[str, ...], options: dict[str, float | str]
) -> None:
    assert parse_address(address) == (endpoints, options)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", "at least one address"),
        ("mem://quotes", "no name behind it"),
        ("redis://a:1", "expected mem://, zmcache://, ipc:// or host:port"),
        ("zmcache://a", "expected host:port"),
        ("zmcache://a:1/2", "nothing between / and"),
        ("zmcache://u@a:1", "no user"),
        ("a:70000", "expected host:port"),
        ("::1:7401", r"\[address\]:port"),
        ("ipc:///", "the path of a socket"),
        (f"ipc:///{'x' * 107}", "of 107 bytes at most"),
        ("a:1?timeuot=1s", "expected timeout, found an unknown option"),
        ("a:1?timeout=1s&timeout=2s", "once, found it twice"),
        ("a:1?on_error=ignore", "expected raise or miss"),
        ("a:1#b", "no #"),
    ],
)
def test_what_is_no_address_is_said_in_one_line(address: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as error:
        parse_address(address)
    assert "\n" not in str(error.value)
