"""The rules of erasing: what each kind of edit becomes, by itself and after another was erased."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import pytest

from eventstate.errors import CorruptJournalError
from eventstate.values.codec import Codec
from eventstate.values.delta import Edit, Op
from eventstate.values.redact import Redactor
from tests.strategies import exact
from tests.values.branches import within

pytestmark = pytest.mark.proves("erase")

CODEC = Codec()


class Erased(NamedTuple):
    """An edit that is to be erased."""

    edit: Edit


Edits: TypeAlias = list[Edit | Erased]


def put(*path: Any, to: Any) -> Edit:
    return Edit(path, Op.SET, to)


def delete(*path: Any) -> Edit:
    return Edit(path, Op.DELETE, None)


def splice(path: str, index: int, removed: int, items: Any) -> Edit:
    return Edit((path,), Op.SPLICE, [index, removed, items])


def order(*keys: Any) -> Edit:
    return Edit(("d",), Op.ORDER, list(keys))


def shown(edits: list[Any]) -> Any:
    return exact([edit and tuple(edit) for edit in edits])


def check(
    edits: Edits,
    told: list[Edit | None],
    state: dict[Any, Any],
    path: tuple[Any, ...] | None = None,
) -> None:
    """Check what becomes of the edits, of which all before the last `told` stay as they are."""
    redactor, out, same = Redactor(CODEC), list[Any](), len(edits) - len(told)
    for number, item in enumerate(edits):
        edit = item.edit if isinstance(item, Erased) else item
        if edit is item:
            out.append(redactor.keep(edit))
        else:
            out.append(redactor.erase(edit) if path is None else redactor.erase_path(edit, path))
        assert (out[-1] is edit) or number >= same
    assert shown(out[same:]) == shown(told)
    assert exact(redactor.state) == exact(state)


def test_what_was_set_is_absent() -> None:
    check([Erased(put("a", to=1))], [None], {})
    check([put("d", to={}), Erased(put("d", "x", to=1))], [None], {"d": {}})


def test_what_was_set_in_the_place_of_something_leaves_the_place_empty() -> None:
    for value in (2, None, [1]):
        check([put("a", to=1), Erased(put("a", to=value))], [delete("a")], {})
    check([put("d", to={"x": 1}), Erased(put("d", "x", to=2))], [delete("d", "x")], {"d": {}})


def test_an_attribute_that_is_set_again_is_there_again_and_comes_last() -> None:
    again: Edits = [put("a", to=1), put("b", to=2), Erased(put("a", to=3)), put("a", to=4)]
    check(again, [delete("a"), put("a", to=4)], {"b": 2, "a": 4})


def test_deleting_what_is_absent_leaves_nothing() -> None:
    check([Erased(put("a", to=1)), delete("a")], [None, None], {})
    check([Erased(put("d", to={"x": {"y": 1}})), delete("d", "x", "y"), delete("d", "x")], [None] * 3, {})


def test_deleting_what_a_part_was_erased_of_takes_all_of_it() -> None:
    begun: Edits = [put("d", to={"x": 1}), Erased(put("d", "y", to=2)), delete("d")]
    check([*begun, put("d", to={})], [None, delete("d"), put("d", to={})], {"d": {}})
    check([*begun], [None, delete("d")], {})


def test_a_deletion_stays_when_it_is_erased() -> None:
    check([put("a", to=1), Erased(delete("a"))], [delete("a")], {})
    check(
        [Erased(put("a", to=1)), Erased(delete("a")), put("a", to=2)], [None, None, put("a", to=2)], {"a": 2}
    )


def test_dicts_that_are_missing_come_into_being_with_what_is_set_below() -> None:
    erased = Erased(put("d", to={"x": {"y": {"z": 1}, "w": 2}}))
    check(
        [erased, put("d", "x", "y", "q", to=3)],
        [None, put("d", to={"x": {"y": {"q": 3}}})],
        {"d": {"x": {"y": {"q": 3}}}},
    )
    further: Edits = [erased, put("d", "x", "v", to=3), put("d", "x", "y", "q", to=4), delete("d", "x", "v")]
    told = [put("d", to={"x": {"v": 3}}), put("d", "x", "y", to={"q": 4}), delete("d", "x", "v")]
    check(further, [None, *told], {"d": {"x": {"y": {"q": 4}}}})


def test_an_order_names_only_the_keys_that_are_there() -> None:
    two: Edits = [put("d", to={"x": 1, "y": 2}), Erased(put("d", "z", to=3))]
    check([*two, order("z", "y", "x")], [None, order("y", "x")], {"d": {"y": 2, "x": 1}})
    check([*two, order("x", "z", "y")], [None, None], {"d": {"x": 1, "y": 2}})
    check([Erased(put("d", to={"x": 1, "y": 2})), order("y", "x")], [None, None], {})


def test_an_order_that_is_erased_leaves_the_keys_as_they_were() -> None:
    check([put("d", to={"x": 1, "y": 2}), Erased(order("y", "x"))], [None], {"d": {"x": 1, "y": 2}})


@pytest.mark.parametrize(
    ("old", "new", "left"), [([1, 2, 3, 4], [8, 9], [1, 4]), ("abcd", "XY", "ad"), (b"abcd", b"XY", b"ad")]
)
def test_what_a_splice_removed_stays_removed_and_what_it_put_there_is_absent(
    old: Any, new: Any, left: Any
) -> None:
    check([put("a", to=old), Erased(splice("a", 1, 2, new))], [splice("a", 1, 2, new[:0])], {"a": left})
    check([put("a", to=old), Erased(splice("a", 1, 0, new))], [None], {"a": old})
    check([put("a", to=old), Erased(splice("a", 1, 2, new[:0]))], [], {"a": left})


def test_later_splices_count_without_what_is_absent() -> None:
    begun: Edits = [put("a", to=[1, 2]), Erased(splice("a", 1, 0, [7, 8, 9]))]
    check([*begun, splice("a", 5, 0, [3])], [None, splice("a", 2, 0, [3])], {"a": [1, 2, 3]})
    check([*begun, splice("a", 0, 0, [0])], [None, splice("a", 0, 0, [0])], {"a": [0, 1, 2]})
    check([*begun, splice("a", 3, 2, [])], [None, splice("a", 1, 1, [])], {"a": [1]})
    check([*begun, splice("a", 2, 1, [5])], [None, splice("a", 1, 0, [5])], {"a": [1, 5, 2]})
    check([*begun, splice("a", 1, 3, [])], [None, None], {"a": [1, 2]})
    check(
        [*begun, splice("a", 1, 3, []), splice("a", 1, 1, [])],
        [None, None, splice("a", 1, 1, [])],
        {"a": [1]},
    )


@pytest.mark.parametrize(("old", "new"), [([1, 2], [3]), ("ab", "c"), (b"ab", b"c")])
def test_a_sequence_that_is_absent_comes_into_being_with_what_is_put_into_it(old: Any, new: Any) -> None:
    gone = Erased(put("a", to=old))
    check([gone, splice("a", 2, 0, new)], [None, put("a", to=new)], {"a": new})
    told = [None, put("a", to=new), splice("a", 1, 0, new)]
    check([gone, splice("a", 1, 0, new), splice("a", 3, 0, new)], told, {"a": new + new})
    check([gone, splice("a", 0, 1, new[:0])], [None, None], {})
    below = Erased(put("d", to={"x": {"y": old}}))
    into = Edit(("d", "x", "y"), Op.SPLICE, [1, 1, new])
    check([below, into], [None, put("d", to={"x": {"y": new}})], {"d": {"x": {"y": new}}})


def test_an_element_that_was_set_is_taken_out() -> None:
    check(
        [put("a", to=[1, 2, 3]), Erased(within(("a",), [1], Op.SET, 9))],
        [splice("a", 1, 1, [])],
        {"a": [1, 3]},
    )
    deep: Edits = [put("a", to=[{"x": [1, 2]}]), Erased(within(("a",), [0, "x", 1], Op.SET, 9))]
    check([*deep], [within(("a",), [0, "x"], Op.SPLICE, [1, 1, []])], {"a": [{"x": [1]}]})
    key: Edits = [put("a", to=[{"x": 1}]), Erased(within(("a",), [0, "x"], Op.SET, 9))]
    check([*key], [within(("a",), [0, "x"], Op.DELETE)], {"a": [{}]})


def test_a_way_through_an_element_that_is_absent_leads_nowhere() -> None:
    gone: Edits = [put("a", to=[[0]]), Erased(splice("a", 1, 0, [{"x": [1]}]))]
    lost = [
        within(("a",), [1, "x"], Op.SET, [2]),
        within(("a",), [1, "x"], Op.SPLICE, [0, 0, [1]]),
        within(("a",), [1], Op.ORDER, ["x"]),
        within(("a",), [1, "x"], Op.DELETE),
    ]
    check([*gone, *lost, *map(Erased, lost[:1])], [None] * 6, {"a": [[0]]})


def test_ways_through_elements_after_those_that_are_absent_are_told_anew() -> None:
    begun: Edits = [put("a", to=[{"x": [1]}]), Erased(splice("a", 0, 0, [7, 8]))]
    for op, value in ((Op.SET, 5), (Op.DELETE, None), (Op.SPLICE, [1, 0, [2]])):
        redactor = Redactor(CODEC)
        redactor.keep(put("a", to=[{"x": [1]}]))
        redactor.erase(splice("a", 0, 0, [7, 8]))
        assert redactor.keep(within(("a",), [2, "x"], op, value)) == within(("a",), [0, "x"], op, value)
    check([*begun, within(("a",), [2], Op.SET, 5)], [None, within(("a",), [0], Op.SET, 5)], {"a": [5]})


def test_an_element_that_is_set_where_one_is_absent_is_put_between_the_others() -> None:
    begun: Edits = [put("a", to=[1, 2]), Erased(splice("a", 1, 0, [8, 9]))]
    check([*begun, within(("a",), [2], Op.SET, 5)], [None, splice("a", 1, 0, [5])], {"a": [1, 5, 2]})
    whole: Edits = [
        Erased(put("a", to=[8, 9])),
        within(("a",), [1], Op.SET, 5),
        within(("a",), [0], Op.SET, 4),
    ]
    check([*whole], [None, put("a", to=[5]), splice("a", 0, 0, [4])], {"a": [4, 5]})
    check([*begun, Erased(within(("a",), [2], Op.SET, 5))], [None, None], {"a": [1, 2]})


def test_a_visible_element_can_have_holes_of_its_own_and_moves_with_them() -> None:
    begun: Edits = [
        put("a", to=[0, ["x"], 2]),
        Erased(within(("a",), [1], Op.SPLICE, [0, 0, [7, 8]])),
    ]
    moved = [*begun, splice("a", 0, 1, [0, 0, 0]), within(("a",), [3], Op.SPLICE, [3, 0, ["y"]])]
    told = [None, splice("a", 0, 1, [0, 0, 0]), within(("a",), [3], Op.SPLICE, [1, 0, ["y"]])]
    check(moved, told, {"a": [0, 0, 0, ["x", "y"], 2]})
    check(
        [*begun, splice("a", 1, 1, []), within(("a",), [1], Op.SET, [])],
        [None, splice("a", 1, 1, []), within(("a",), [1], Op.SET, [])],
        {"a": [0, []]},
    )
    check(
        [*begun, within(("a",), [1], Op.SET, [1]), within(("a",), [1], Op.SPLICE, [1, 0, [2]])],
        [None, within(("a",), [1], Op.SET, [1]), within(("a",), [1], Op.SPLICE, [1, 0, [2]])],
        {"a": [0, [1, 2], 2]},
    )


def test_holes_in_elements_go_with_those_that_are_removed() -> None:
    begun: Edits = [put("a", to=[[1], [2]])]
    begun += [Erased(within(("a",), [i], Op.SPLICE, [0, 0, [8] * i])) for i in (0, 1)]
    begun += [Erased(within(("a",), [0], Op.SPLICE, [0, 0, [8, 8]])), splice("a", 0, 1, [])]
    last, told = within(("a",), [0], Op.SPLICE, [2, 0, [3]]), within(("a",), [0], Op.SPLICE, [1, 0, [3]])
    check([*begun, last], [None, None, splice("a", 0, 1, []), told], {"a": [[2, 3]]})


def test_an_element_of_a_list_that_is_deleted_by_its_index_is_told_in_its_place() -> None:
    begun: Edits = [put("a", to=[1, 2]), Erased(splice("a", 0, 0, [9]))]
    check([*begun, within(("a",), [1], Op.DELETE)], [None, within(("a",), [0], Op.DELETE)], {"a": [2]})
    check(
        [*begun, within(("a",), [0], Op.DELETE), splice("a", 2, 0, [3])],
        [None, None, splice("a", 2, 0, [3])],
        {"a": [1, 2, 3]},
    )


def test_a_note_is_kept_whole_or_goes() -> None:
    note = Edit((), Op.NOTE, ["tool.called", {"name": "search"}])
    assert Redactor(CODEC).keep(note) is note
    assert Redactor(CODEC).erase_path(note, ("a",)) is note
    assert Redactor(CODEC).erase(note) is None


@pytest.mark.parametrize("op", [Op.GONE, Op.ERASE, Op.PRUNE])
def test_what_is_left_of_an_erasure_stays(op: Op) -> None:
    record = Edit((), op, None)
    assert Redactor(CODEC).keep(record) is record
    assert Redactor(CODEC).erase(record) is record


def test_what_a_value_says_of_an_attribute_is_taken_out_of_it() -> None:
    erased = [Erased(put("d", to={"x": {"s": 1, "t": 2}, "y": 3}))]
    check([*erased], [put("d", to={"x": {"t": 2}, "y": 3})], {"d": {"x": {"t": 2}, "y": 3}}, ("d", "x", "s"))
    check([*erased], [put("d", to={"y": 3})], {"d": {"y": 3}}, ("d", "x"))
    check([*erased], [None], {}, ("d",))
    check([Erased(put("d", to={"x": 1}))], [put("d", to={})], {"d": {}}, ("d", "x"))
    for path in (("d", "z"), ("d", "y", "z"), ("e",)):
        check([*erased], [], {"d": {"x": {"s": 1, "t": 2}, "y": 3}}, path)


def test_below_what_was_taken_out_of_a_value_later_edits_go_on() -> None:
    edits: Edits = [Erased(put("d", to={"x": {"s": [1, 2]}})), Edit(("d", "x", "s"), Op.SPLICE, [2, 0, [3]])]
    check([*edits], [put("d", to={}), put("d", "x", to={"s": [3]})], {"d": {"x": {"s": [3]}}}, ("d", "x"))


def test_an_attribute_is_another_if_its_keys_are_of_other_types() -> None:
    edits: Edits = [
        Erased(put("d", to={True: 1, "1": 2})),
        Erased(put("d", "1", to=3)),
        Erased(put("d", 0, to=4)),
    ]
    state = {"d": {True: 1, "1": 3, 0: 4}}
    for key in (1, 1.0, False, -0.0, b"1"):
        check([*edits], [], state, ("d", key))
    check([*edits[:1]], [put("d", to={"1": 2})], {"d": {"1": 2}}, ("d", True))


def test_an_index_is_no_key_and_a_step_may_be_one() -> None:
    item = Erased(within(("a",), [0], Op.SET, {"x": 1}))
    check([put("a", to=[5]), item], [], {"a": [{"x": 1}]}, ("a", 0))
    check([put("a", to=[5]), item], [], {"a": [{"x": 1}]}, ("a", 0, "x"))
    begun, step = put("a", to={"b": {}}), Erased(within(("a",), ["b", "x"], Op.SET, 1))
    check([begun, step], [None], {"a": {"b": {}}}, ("a", "b", "x"))
    check([Erased(begun), step], [put("a", to={}), None], {"a": {}}, ("a", "b"))
    whole = Erased(within(("a",), ["b"], Op.SET, {"x": 1, "y": 2}))
    check([begun, whole], [within(("a",), ["b"], Op.SET, {"y": 2})], {"a": {"b": {"y": 2}}}, ("a", "b", "x"))


def test_an_index_is_no_key_where_nothing_is_left_either() -> None:
    redactor = Redactor(CODEC)
    redactor.erase(put("a", to={"b": {}}))
    redactor.erase(put("l", to=[1]))
    assert redactor.erase_path(within(("a",), ["b", "x"], Op.SET, 1), ("a", "b", "x")) is None
    assert redactor.erase_path(within(("l",), [0], Op.SET, 5), ("l", 0)) == put("l", to=[5])


def test_a_copy_has_its_own_holes_in_elements() -> None:
    redactor = Redactor(CODEC)
    redactor.keep(put("a", to=[["x"]]))
    redactor.erase(within(("a",), [0], Op.SPLICE, [0, 0, [1]]))
    redactor.copy().erase(within(("a",), [0], Op.SPLICE, [0, 0, [2]]))
    append = within(("a",), [0], Op.SPLICE, [2, 0, ["y"]])
    assert redactor.keep(append) == within(("a",), [0], Op.SPLICE, [1, 0, ["y"]])


def test_what_is_inside_a_tuple_that_is_absent_is_absent() -> None:
    into = within(("a",), [0, 0], Op.SET, 2)
    check([put("a", to=([1],)), into], [], {"a": ([2],)})
    check([Erased(put("a", to=([1],))), into], [None, None], {})


def test_what_it_starts_from_is_copied() -> None:
    start = {"a": [1]}
    redactor = Redactor(CODEC, start)
    assert redactor.keep(splice("a", 1, 0, [2])) == splice("a", 1, 0, [2])
    assert (start, redactor.state) == ({"a": [1]}, {"a": [1, 2]})


def test_what_is_taken_out_of_what_it_starts_from_is_absent_from_then_on() -> None:
    redactor = Redactor(CODEC, {"d": {"x": [1, 2], "y": 1}}, ("d", "x"))
    assert redactor.state == {"d": {"y": 1}}
    assert redactor.keep(order("x", "y")) is None
    assert redactor.copy().keep(delete("d", "x")) is None
    assert redactor.erase_path(Edit(("d", "x"), Op.SPLICE, [2, 0, [3]]), ("d", "x")) is None
    assert redactor.keep(Edit(("d", "x"), Op.SPLICE, [1, 2, [4]])) == put("d", "x", to=[4])
    for absent in (("d", "z"), ("d", "y", "z"), ("e",)):
        assert Redactor(CODEC, {"d": {"y": 1}}, absent).state == {"d": {"y": 1}}


def test_edits_share_nothing_with_the_state() -> None:
    redactor, value = Redactor(CODEC), [[1]]
    first = redactor.keep(put("a", to=value))
    redactor.erase(put("d", to={}))
    later = redactor.keep(put("d", "x", to=value))
    redactor.keep(within(("a",), [0], Op.SPLICE, [1, 0, [2]]))
    redactor.keep(Edit(("d", "x"), Op.SPLICE, [1, 0, [3]]))
    assert first == put("a", to=[[1]])
    assert later == put("d", to={"x": [[1]]})
    assert redactor.state == {"a": [[1, 2]], "d": {"x": [[1], 3]}}


@pytest.mark.parametrize(
    "edit",
    [
        put(to={}),
        put("no", "such", to=1),
        put("n", "x", to=1),
        delete("no"),
        delete("l", "x"),
        splice("no", 0, 0, []),
        splice("n", 0, 0, []),
        splice("l", 4, 1, [1]),
        splice("l", -1, 0, [1]),
        splice("l", 0, 0, "x"),
        splice("s", 0, 0, [1]),
        splice("gone", 0, 0, "x"),
        splice("gone", 3, 0, [1]),
        Edit(("gone",), Op.ORDER, []),
        put("gone", "x", to=1),
        within(("gone",), [2], Op.SET, 1),
        within(("gone",), [-1, 0], Op.SET, 1),
        within(("gone",), ["x", 0], Op.SET, 1),
        put("lost", "x", "y", to=1),
        delete("lost", "x"),
        within(("l",), [9], Op.SET, 1),
        within(("l",), [2, 0], Op.SET, 1),
        within(("s",), [0], Op.SET, "x"),
        within(("s",), [0], Op.DELETE),
        Edit(("l",), Op.WITHIN, None),
        Edit(("l",), Op.WITHIN, [[0], 99, 1]),
    ],
)
def test_an_edit_that_does_not_fit_is_damage(edit: Edit) -> None:
    redactor = Redactor(CODEC)
    redactor.keep(put("n", to=1))
    redactor.keep(put("l", to=[1, 2, 3]))
    redactor.erase(splice("l", 0, 0, [0]))
    redactor.keep(put("s", to="abc"))
    redactor.erase(splice("s", 0, 0, "x"))
    redactor.erase(put("gone", to=[1, 2]))
    redactor.erase(put("lost", to={}))
    state = exact(redactor.state)
    with pytest.raises(CorruptJournalError, match="does not fit the state"):
        redactor.keep(edit)
    assert exact(redactor.state) == state
