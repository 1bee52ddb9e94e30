"""Published ports, in every form that Docker takes."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.values import PortBinding, parse_ports
from tests.domain.catalogue.examples import label
from tests.domain.catalogue.texts import quietly
from tests.domain.strategies import ANY_TEXT


def bound(port: int, host: str | None = None, ip: str = "", protocol: str = "tcp") -> PortBinding:
    return PortBinding(port, protocol, ip, host)


@pytest.mark.parametrize(
    ("ports", "bindings"),
    [
        ({}, []),
        ([], []),
        ({"80": "8080"}, [bound(80, "8080")]),
        ({"80": 8080}, [bound(80, "8080")]),
        ({"80/tcp": "8080"}, [bound(80, "8080")]),
        ({"53/udp": "53"}, [bound(53, "53", protocol="udp")]),
        ({"53/UDP": "53"}, [bound(53, "53", protocol="udp")]),
        ({"53/sctp": "53"}, [bound(53, "53", protocol="sctp")]),
        ({"80": None}, [bound(80)]),
        ({"80": ""}, [bound(80)]),
        ({"80": 0}, [bound(80)]),
        ({"80": "0"}, [bound(80)]),
        ({"80": "08080"}, [bound(80, "8080")]),
        ({"80": "127.0.0.1:8080"}, [bound(80, "8080", "127.0.0.1")]),
        ({"80": "127.0.0.1:"}, [bound(80, None, "127.0.0.1")]),
        ({"80": "127.0.0.1:0"}, [bound(80, None, "127.0.0.1")]),
        ({"80": ":8080"}, [bound(80, "8080")]),
        ({"80": "[::1]:8080"}, [bound(80, "8080", "::1")]),
        ({"80": "::1:8080"}, [bound(80, "8080", "::1")]),
        ({"80": "[2001:DB8:0::1]:8080"}, [bound(80, "8080", "2001:db8::1")]),
        ({"80": "0.0.0.0:8080"}, [bound(80, "8080", "0.0.0.0")]),
        ({"80": ["8080", 8081, None, "127.0.0.1:8082"]},
         [bound(80, "8080"), bound(80, "8081"), bound(80), bound(80, "8082", "127.0.0.1")]),
        ({"80": "8000-8010"}, [bound(80, "8000-8010")]),
        ({"80-82": "8080-8082"}, [bound(80, "8080"), bound(81, "8081"), bound(82, "8082")]),
        ({"80-81/udp": "127.0.0.1:90-91"},
         [bound(80, "90", "127.0.0.1", "udp"), bound(81, "91", "127.0.0.1", "udp")]),
        ({"80-81": None}, [bound(80), bound(81)]),
        ({"80-80": "90-90"}, [bound(80, "90")]),
        ({"65535": "65535"}, [bound(65535, "65535")]),
        ({"80": "8080", "443": "8443"}, [bound(80, "8080"), bound(443, "8443")]),
        (["80"], [bound(80)]),
        (["80/udp"], [bound(80, protocol="udp")]),
        (["8080:80"], [bound(80, "8080")]),
        (["0:80"], [bound(80)]),
        ([":80"], [bound(80)]),
        (["8080:80/tcp"], [bound(80, "8080")]),
        (["127.0.0.1:8080:80"], [bound(80, "8080", "127.0.0.1")]),
        (["127.0.0.1::80"], [bound(80, None, "127.0.0.1")]),
        (["[::1]:8080:80/udp"], [bound(80, "8080", "::1", "udp")]),
        (["8080-8081:80-81"], [bound(80, "8080"), bound(81, "8081")]),
        (["8000-8010:80"], [bound(80, "8000-8010")]),
        (["80-81"], [bound(80), bound(81)]),
        (["8080:80", "8080:80/udp"], [bound(80, "8080"), bound(80, "8080", protocol="udp")]),
        (["1-1024"], [bound(port) for port in range(1, 1025)]),
    ],
    ids=label,
)  # fmt: skip
def test_the_forms_of_published_ports(ports: Any, bindings: list[PortBinding]) -> None:
    assert parse_ports(ports) == bindings


@pytest.mark.parametrize(
    ("ports", "told"),
    [
        ({"": "80"}, "a port is a number"),
        ({"0": "80"}, "a port is a number"),
        ({"65536": "80"}, "a port is a number"),
        ({"http": "80"}, "a port is a number"),
        ({"-80": "80"}, "a port is a number"),
        ({" 80": "80"}, "a port is a number"),
        ({"80\n": "80"}, "a port is a number"),
        ({"٨٠": "80"}, "a port is a number"),
        ({"82-80": "80"}, "a port is a number"),
        ({"80-": "80"}, "a port is a number"),
        ({"80": "65536"}, "a port is a number"),
        ({"80": "http"}, "a port is a number"),
        ({"80": "8080/udp"}, "a port is a number"),
        ({"80": "00"}, "a port is a number"),
        ({"80": "-1"}, "a port is a number"),
        ({"80": "9" * 5000}, "a port is a number"),
        ({"80/icmp": "80"}, "a protocol is"),
        ({"80/": "80/"}, "a port is a number"),
        ({"80/tcp/udp": "80"}, "a protocol is"),
        ({"80": -1}, "a host port is"),
        ({"80": 65536}, "a host port is"),
        ({"80": 10**5000}, "a host port is"),
        ({"80": True}, "a host port is"),
        ({"80": False}, "a host port is"),
        ({"80": 80.0}, "a host port is"),
        ({"80": {}}, "a host port is"),
        ({"80": []}, "a host port is"),
        ({"80": [[]]}, "a host port is"),
        ({"80": [["80"]]}, "a host port is"),
        ({"80": "localhost:80"}, "is an IP address"),
        ({"80": "256.0.0.1:80"}, "is an IP address"),
        ({"80": "1:80"}, "is an IP address"),
        ({"80": "[127.0.0.1:80"}, "is an IP address"),
        ({"80": "127.0.0.1]:80"}, "is an IP address"),
        ({"80": "fe80::1%eth0:80"}, "is an IP address"),
        ({"80": "[fe80::1%eth0]:80"}, "is an IP address"),
        ({"80": "127.0.0.1:80:80"}, "is an IP address"),
        ({"80": "127.0.0.01:80"}, "is an IP address"),
        ({"80": "\ud800:80"}, "is an IP address"),
        ({"80-82": "80-81"}, "same length"),
        ({"80-82": "80"}, "same length"),
        ({"1-1025": None}, "at most 1024 ports"),
        ([""], "a port is a number"),
        ([":"], "a port is a number"),
        (["8080:"], "a port is a number"),
        (["80:http"], "a port is a number"),
        (["localhost:80:80"], "is an IP address"),
        (["1-65535"], "at most 1024 ports"),
        (["80"] * 1025, "at most 1024 ports"),
    ],
    ids=label,
)
def test_what_is_no_published_port(ports: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_ports(ports)


@pytest.mark.promise("P9")
@pytest.mark.parametrize("ports", [["1-65535"] * 50_000, {"1-65535": [None] * 50_000}], ids=["list", "map"])
def test_a_flood_of_ranges_is_refused_before_it_is_spread_out(ports: Any) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match="at most 1024 ports"):
        parse_ports(ports)
    assert time.process_time() - began < 1


SIDES = st.text("0123456789:-/.[]abcdeftupsc%", max_size=20) | ANY_TEXT
HOSTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | SIDES,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.lists(SIDES, max_size=4) | st.dictionaries(SIDES | st.just("80"), HOSTS, max_size=4))
def test_anything_else_is_refused_and_no_crash(ports: Any) -> None:
    for binding in quietly(lambda: parse_ports(ports)) or []:
        assert 1 <= binding.container_port <= 65535
        assert binding.protocol in {"tcp", "udp", "sctp"}
        first, _, last = (binding.host_port or "1").partition("-")
        assert 1 <= int(first) <= int(last or first) <= 65535
        assert "%" not in binding.host_ip
