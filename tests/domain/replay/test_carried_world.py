"""A world goes into the log that continues another in parts that each fit into a record, and comes out whole."""

import orjson

from domain.replay.world import MOST_GONE, MOST_OBJECTS, MOST_PART_BYTES, Change, Known, World


def known(number: int, status: str) -> Known:
    change = Change(position=number, at_ms=number, by="alice", what="start", command_id="c" * 36)
    facts = {"image": "registry.example/team/programme:1", "networks": [["bridge", "n" * 64]]}
    return Known("container", f"{number:064x}", f"web-{number}", status, change, facts, "m" * 36)


def test_a_full_world_comes_out_as_it_was_but_for_its_positions() -> None:
    old, new = World(), World()
    for number in range(MOST_OBJECTS + 3):
        old.put(known(number, "running"))
    for number in range(MOST_GONE):
        old.remove(known(MOST_OBJECTS + number, "removed"))

    parts = old.carried(5000)
    for position, part in enumerate(parts, 1):
        new.go_on(part, position)

    assert len(orjson.dumps(parts[0])) <= 5000 + 100
    assert all(len(orjson.dumps(part)) <= MOST_PART_BYTES + 100 for part in parts)
    assert all(part["objects"] or part["gone"] for part in parts)
    assert new.dropped == old.dropped
    for was, became in ((old.objects, new.objects), (old.gone, new.gone)):
        assert list(was) == list(became), "in the order of their last change"
        assert all(each.facts == was[key].facts and each.changed.by == "alice" for key, each in became.items())


def test_an_empty_world_is_one_part() -> None:
    assert World().carried(10) == [{"objects": [], "gone": [], "dropped": 0}]
