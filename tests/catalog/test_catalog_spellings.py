from __future__ import annotations

from mlproj.catalog.spellings import ALL, LONGEST, Seen, rule


def words(column: str, *others: str, **counts: int) -> Seen:
    return Seen(column=column, counts=counts, is_typed=False, others=others)


def numbers(column: str, **counts: int) -> Seen:
    return Seen(column=column, counts=counts, is_typed=True, others=("1.5", "2"))


def test_blanks_and_na_mean_missing_everywhere() -> None:
    columns = [words("a", "x", "y", **{" ": 3, "": 1}), words("b", "u", "v", **{"N/A": 1, "NaN": 2})]

    assert rule(columns).missing == ("", " ", "N/A", "NaN")


def test_none_among_words_is_a_category_and_that_is_said() -> None:
    ruling = rule([words("Mas_Vnr_Type", "BrkFace", "Stone", **{"None": 1_775})])

    assert ruling.missing == ()
    assert ruling.notes == (
        "`None` in `Mas_Vnr_Type` (1,775 rows) is kept as a category;"
        " add it to `missing_values` if it means missing",
    )


def test_none_among_numbers_is_missing_and_then_so_it_is_among_words() -> None:
    ruling = rule([numbers("age", **{"None": 3}), words("kind", "x", "y", **{"None": 1})])

    assert ruling.missing == ("None",)
    assert ruling.notes == ("`None` means missing in columns of numbers, and is read so in `kind` as well",)


def test_unknown_is_a_category_unless_told() -> None:
    columns = [words("job", "cook", "clerk", unknown=7)]

    assert rule(columns).missing == ()
    assert rule(columns, told=["unknown"]).missing == ("unknown",)


def test_unknown_among_numbers_is_missing() -> None:
    assert rule([numbers("age", unknown=2)]).missing == ("unknown",)


def test_unknown_among_numbers_and_among_words_is_left_to_the_user() -> None:
    ruling = rule([numbers("age", unknown=2), words("job", "cook", unknown=7)])

    assert ruling.missing == ()
    assert any("`age` would be numbers or dates but for `unknown`" in note for note in ruling.notes)


def test_a_dash_is_missing_unless_the_values_are_signs() -> None:
    assert rule([words("town", "Bonn", **{"-": 3})]).missing == ("-",)
    assert rule([words("reaction", "+", "++", **{"-": 3})]).missing == ()


def test_na_among_country_codes_is_a_country() -> None:
    assert rule([words("country", "DE", "FR", "US", NA=3)]).missing == ()
    assert rule([words("sex", "MALE", "FEMALE", NA=3)]).missing == ("NA",)


def test_no_well_known_spelling_begins_with_a_digit_which_lets_numbers_pass_unread() -> None:
    assert not [spelling for spelling in ALL if spelling[:1].isdigit()]
    assert all(spelling == spelling.strip().lower() and len(spelling) < LONGEST for spelling in ALL)
