"""The suite is no good unless it finds what is wrong: stores with one fault each, and the cases that must notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from tests.harnesses import broken
from tests.harnesses.broken import Broken, BrokenHarness

from atomic_session.testing import CASES

BY_NAME = {case.__name__: case for case in CASES}

FAULTS: dict[type[Broken], tuple[str, ...]] = {
    broken.UpsertsUpdates: ("absent_sessions_are_absent",),
    broken.IgnoresDigests: ("unknown_digests_open_nothing", "nothing_is_written_under_a_rotated_token"),
    broken.SavesWholeSessions: (
        "operators_lose_nothing",
        "dict_code_loses_no_field",
        "one_of_many_rotations_wins",
        "one_of_many_takes_gets_the_value",
        "destroyed_sessions_stay_so_under_load",
        "rotated_sessions_lose_nothing_under_load",
    ),
    broken.ForgetsTombstones: ("destroyed_sessions_are_remembered", "nothing_is_written_after_destroy"),
    broken.ForgetsRotations: ("rotated_tokens_are_remembered",),
    broken.LetsRotatedTokensIn: ("rotated_tokens_are_remembered", "nothing_is_written_under_a_rotated_token"),
    broken.ComparesLoosely: ("equal_values_are_found_and_no_others",),
    broken.KeepsNumbersAsDoubles: ("numbers_are_exact", "values_come_back_as_they_went_in"),
    broken.TurnsEmptyDictsIntoLists: ("values_come_back_as_they_went_in",),
    broken.JoinsNamesWithDots: ("names_are_only_names",),
    broken.AppliesHalfUpdates: ("refused_updates_change_nothing_and_say_why",),
    broken.NeverCaps: ("nothing_extends_past_the_absolute_deadline", "sessions_end_at_their_absolute_deadline"),
    broken.RenewsAtEveryRead: ("reads_renew_only_when_that_is_due",),
    broken.ExpiresLate: ("idle_sessions_end_at_their_deadline",),
    broken.ReadsItsOwnClock: ("idle_sessions_end_at_their_deadline", "nothing_is_written_after_expiry"),
    broken.Overwrites: ("creation_never_overwrites", "one_of_many_creations_wins"),
    broken.AnswersTooLittle: ("updates_answer_all_data_to_who_does_not_know_it",),
    broken.GivesStaleText: ("updates_answer_all_data_to_who_does_not_know_it", "replacements_answer_all_data"),
    broken.TakesNoneForMissing: ("taken_values_are_answered_once",),
    broken.CountsRevAtTouch: ("rev_counts_changes_of_data",),
    broken.SharesItsAnswers: ("answers_are_the_receivers_own",),
    broken.CountsOwnersEarly: ("parallel_logins_keep_the_limit",),
    broken.SweepsWithoutLock: ("logins_are_before_or_after_destroy_all",),
    broken.SweepsByTheFirstDeadline: ("purge_leaves_what_was_renewed",),
    broken.AppliesHalfWhenCancelled: ("cancelled_updates_happen_whole_or_not_at_all",),
    broken.KeepsHalfBatches: ("poison_harms_nobody_else",),
    broken.StopsAtRefusals: ("batches_are_answered_in_order",),
    broken.MixesUpItsAnswers: ("batches_are_answered_in_order", "many_commands_at_once_keep_to_their_sessions"),
    broken.TakesCorruptForEmpty: ("corrupt_records_are_left_alone_and_can_be_ended",),
    broken.LeavesDestroyedListed: ("owners_see_no_session_that_is_over",),
}


@pytest.mark.parametrize(
    ("fault", "name"),
    [(fault, name) for fault, names in FAULTS.items() for name in names],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_the_suite_finds_the_fault(fault: type[Broken], name: str) -> None:
    with pytest.raises(AssertionError):
        await BY_NAME[name](BrokenHarness(fault))


async def test_the_frame_of_the_broken_stores_is_sound() -> None:
    for name in sorted({name for names in FAULTS.values() for name in names}):
        await BY_NAME[name](BrokenHarness(Broken))


@pytest.fixture
def unshrunk() -> Iterator[None]:
    """Let any example do, and always the same ones: to find the smallest takes its time."""
    before = settings.get_current_profile_name()
    settings.register_profile("unshrunk", settings(), phases=[Phase.generate], derandomize=True)
    settings.load_profile("unshrunk")
    yield
    settings.load_profile(before)


@pytest.mark.parametrize(
    "fault",
    [
        broken.LetsRotatedTokensIn,
        broken.NeverCaps,
        broken.RenewsAtEveryRead,
        broken.AppliesHalfUpdates,
        broken.AnswersTooLittle,
    ],
    ids=lambda fault: fault.__name__,
)
async def test_random_lives_find_many_faults_by_themselves(fault: type[Broken], unshrunk: None) -> None:
    with pytest.raises(AssertionError):
        await BY_NAME["random_lives_are_those_of_the_model"](BrokenHarness(fault))
