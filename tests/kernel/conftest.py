import pytest
from kernel_client import kernel


@pytest.fixture(scope="module")
def k(tmp_path_factory):
    """One durable kernel for a file of tests; each test's cells differ, so nothing is replayed
    that the test did not run itself."""
    with kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """ipykernel itself, to compare with."""
    home = tmp_path_factory.mktemp("plain")
    with kernel(home, module="ipykernel_launcher", fake=False) as running:
        yield running
