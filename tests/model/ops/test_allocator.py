"""oneDNN's cache is bounded before its first product, if the user has not."""

import os

import pytest

from lorasweep.model.ops.allocator import NUM_KERNELS, keep_few_kernels

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


@pytest.mark.parametrize(("own", "expected"), [(None, str(NUM_KERNELS)), ("7", "7")])
def test_the_users_own_bound_stays(
    monkeypatch: pytest.MonkeyPatch, own: str | None, expected: str
) -> None:
    monkeypatch.delenv(CAPACITY, raising=False)
    if own is not None:
        monkeypatch.setenv(CAPACITY, own)
    keep_few_kernels()
    assert os.environ[CAPACITY] == expected
