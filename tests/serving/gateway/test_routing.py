"""Shares are what they say, entities stay where they are, and salts are independent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlproj.serving.routing import Table, bucket

SALT = bytes(range(16))
ENTITIES = [f"customer-{number}" for number in range(20_000)]


def message(role: str, version: int, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "role": role,
        "version": version,
        "run": "r",
        "deployment": 1,
        "share": 1.0,
        "salt": SALT.hex(),
        "automation": "full",
        "defer_below": None,
        "socket": None,
        "engine": "numpy",
    }
    return made | more


def table(share: float, salt: bytes = SALT) -> Table:
    return Table.from_messages(1, [message("primary", 1), message("canary", 2, share=share, salt=salt.hex())])


def canaries(share: float, salt: bytes = SALT) -> set[str]:
    routes = table(share, salt)
    chosen = ((entity, routes.choose(entity)) for entity in ENTITIES)
    return {entity for entity, route in chosen if route is not None and route.role == "canary"}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_a_share_is_the_share_of_entities_that_get_it(share: float) -> None:
    # Four standard deviations of a binomial.
    tolerance = 4 * (share * (1 - share) / len(ENTITIES)) ** 0.5
    assert abs(len(canaries(share)) / len(ENTITIES) - share) < tolerance


def test_a_share_of_nothing_is_nobody_and_of_everything_everybody() -> None:
    assert canaries(0.0) == set()
    assert canaries(1.0) == set(ENTITIES)


def test_two_deployments_choose_independently() -> None:
    both = canaries(0.1) & canaries(0.1, bytes(range(16, 32)))
    assert 0.007 < len(both) / len(ENTITIES) < 0.013


def test_salts_that_differ_in_one_bit_choose_independently() -> None:
    other = bytes([SALT[0] ^ 1]) + SALT[1:]
    both = canaries(0.1) & canaries(0.1, other)
    assert 0.007 < len(both) / len(ENTITIES) < 0.013


@given(
    entity=some.text(max_size=50),
    salt=some.binary(max_size=64),
    shares=some.tuples(some.floats(0, 1), some.floats(0, 1)),
)
def test_a_larger_share_only_adds_entities(entity: str, salt: bytes, shares: tuple[float, float]) -> None:
    small, large = sorted(shares)
    before, after = table(small, salt).choose(entity), table(large, salt).choose(entity)
    assert before is not None
    assert after is not None
    assert before.role == "primary" or after.role == "canary"


@given(entity=some.text(), salt=some.binary(max_size=64))
def test_a_bucket_is_a_number_below_one(entity: str, salt: bytes) -> None:
    assert 0.0 <= bucket(entity, salt) < 1.0


def test_without_a_canary_everybody_is_the_primarys() -> None:
    routes = Table.from_messages(1, [message("primary", 1), message("kept", 3), message("kept", 4)])
    assert routes.canary_share == 0.0
    assert {route.version for entity in ENTITIES[:50] if (route := routes.choose(entity))} == {1}
    assert [route.version for route in routes.routes] == [1, 3, 4]
    assert routes.version(3) is None


def test_without_a_primary_nobody_is_chosen() -> None:
    assert Table.from_messages(1, [message("shadow", 1)]).choose("anybody") is None


def test_two_routes_of_one_role_are_refused() -> None:
    with pytest.raises(ValueError, match="two routes have the role `primary`"):
        Table.from_messages(1, [message("primary", 1), message("primary", 2)])
