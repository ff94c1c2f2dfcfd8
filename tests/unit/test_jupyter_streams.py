import pytest

from evercell.jupyter.streams import _possible_start

TOKEN = b"\0evercell\0"


@pytest.mark.parametrize(
    ("data", "kept"),
    [(b"", 0), (b"abc", 0), (b"abc\0", 1), (b"abc\0ever", 5), (b"\0evercell", 9), (b"\0evil", 0)],
)
def test_the_start_of_a_token_at_the_end_of_a_read_is_kept_back(data, kept):
    assert _possible_start(data, TOKEN) == kept
