import pytest

from runtime.cli.durations import in_short, in_words


@pytest.mark.parametrize(
    ("seconds", "short", "words"),
    [
        (0.0, "< 1 ms", "0 ms"),
        (0.0032, "3.2 ms", "3.2 ms"),
        (0.25, "250 ms", "250 ms"),
        (0.9994, "999 ms", "999 ms"),
        (0.9996, "1.0 s", "1 s"),
        (0.9999, "1.0 s", "1 s"),
        (1.5, "1.5 s", "1.5 s"),
        (59.94, "60 s", "59.9 s"),
        (59.96, "60 s", "1 min"),
        (75, "75 s", "1 min 15 s"),
        (125, "2.1 min", "2 min 5 s"),
        (1800, "30 min", "30 min"),
        (7200, "2.0 h", "2 h"),
        (3 * 86_400 + 3600, "3 d", "3 d 1 h"),
    ],
)
def test_lengths_of_time_have_units_that_suit_them(seconds: float, short: str, words: str) -> None:
    assert (in_short(seconds), in_words(seconds)) == (short, words)


def test_the_short_form_stays_short() -> None:
    assert max(len(in_short(10 ** (n / 50))) for n in range(-300, 400)) <= 7
