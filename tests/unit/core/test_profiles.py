from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core import profiles
from tradewind.core.profiles import (
    ColumnProfile,
    from_json,
    merge_profiles,
    profile_bin,
    profile_numbers,
    profile_texts,
    to_json,
)

numbers = st.lists(st.floats(), max_size=40)
words = st.lists(st.sampled_from(["AA", "UA", "B6", "é", ""]), max_size=40)


def of_words(values: list[str]) -> ColumnProfile:
    return profile_texts(Counter(values))


@given(numbers, st.integers(0, 3))
def test_every_row_is_counted_once(values: list[float], null: int) -> None:
    profile = profile_numbers(np.array(values), null=null)
    assert profile.rows == len(values) + null
    assert sum(profile.counts.values()) + profile.null + profile.nan + profile.above + profile.below == profile.rows


@given(numbers, st.randoms())
def test_shuffled_input_gives_the_same_profile(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert to_json(profile_numbers(np.array(values))) == to_json(profile_numbers(np.array(shuffled)))


@given(numbers, numbers, numbers)
def test_merging_is_associative_commutative_and_the_profile_of_all_rows(
    a: list[float], b: list[float], c: list[float]
) -> None:
    pa, pb, pc = (profile_numbers(np.array(v), null=1) for v in (a, b, c))
    assert (
        merge_profiles([merge_profiles([pa, pb]), pc])
        == merge_profiles([pa, merge_profiles([pb, pc])])
        == merge_profiles([pc, pa, pb])
        == profile_numbers(np.array(a + b + c), null=3)
    )


@given(words, words)
def test_merging_categories_is_the_profile_of_all_rows(a: list[str], b: list[str]) -> None:
    assert merge_profiles([of_words(a), of_words(b)]) == merge_profiles([of_words(b), of_words(a)]) == of_words(a + b)


@given(numbers)
def test_a_profile_survives_json(values: list[float]) -> None:
    profile = profile_numbers(np.array(values), null=2)
    assert from_json(to_json(profile)) == profile


@given(words)
def test_a_categorical_profile_survives_json(values: list[str]) -> None:
    assert from_json(to_json(of_words(values))) == of_words(values)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_bins_are_ordered_as_values(a: float, b: float) -> None:
    low, high = profile_bin(np.array(sorted([a, b])))
    assert low <= high


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_bin_is_between_a_sixty_fourth_and_half_of_that_of_its_values_wide(value: float) -> None:
    here, near, far, mirrored = profile_bin(
        np.array([value, value * (1 + 1 / 129), value * (1 + 1 / 63), -value])
    ).tolist()
    assert near - here in (0, 1)
    assert far > here
    assert mirrored == -here - 1


def test_small_whole_numbers_have_bins_of_their_own() -> None:
    assert len(set(profile_bin(np.arange(-128, 129)).tolist())) == 257


def test_both_zeros_share_a_bin() -> None:
    assert profile_bin(np.array([0.0, -0.0])).tolist() == [0, 0]


def test_what_is_not_a_finite_number_is_counted_apart() -> None:
    profile = profile_numbers(np.array([1.0, math.nan, math.inf, -math.inf, math.inf]), null=3)
    assert (profile.rows, profile.null, profile.nan, profile.above, profile.below) == (8, 3, 1, 2, 1)


def test_rare_categories_beyond_the_limit_are_counted_together() -> None:
    counts = {f"v{i:05}": 1 for i in range(profiles.MAX_CATEGORIES + 7)} | {"often": 5}
    profile = profile_texts(counts)
    assert (len(profile.counts), profile.other, profile.counts["often"]) == (profiles.MAX_CATEGORIES, 8, 5)
    assert profile.rows == profiles.MAX_CATEGORIES + 12


def test_merging_drops_nothing_beyond_the_limit() -> None:
    a = profile_texts({f"a{i}": 1 for i in range(profiles.MAX_CATEGORIES)})
    b = profile_texts({f"b{i}": 1 for i in range(profiles.MAX_CATEGORIES)})
    assert len(merge_profiles([a, b]).counts) == 2 * profiles.MAX_CATEGORIES


def test_profiles_of_different_kinds_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="categorical"):
        merge_profiles([profile_numbers(np.array([1.0])), profile_texts({"a": 1})])


def test_a_profile_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="profile the partition again"):
        from_json('{"format":0}')


def test_a_profile_is_small() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    assert len(to_json(profile_numbers(values))) < 40_000
