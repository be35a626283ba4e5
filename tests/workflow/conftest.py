"""One copy of the repository for all tests that only read it."""

import pytest
from checkout import Checkout, copy_repository


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Checkout:
    return copy_repository(tmp_path_factory.mktemp("checkout"))
