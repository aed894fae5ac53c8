"""Which precision a machine is fast in: by its instructions, and by what a processor shows."""

from collections.abc import Iterator

import pytest
import torch

from lorasweep.model import machine


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Every test measures anew."""
    machine._gain_of_bf16.cache_clear()
    yield
    machine._gain_of_bf16.cache_clear()


def processor(monkeypatch: pytest.MonkeyPatch, *, has_bf16: bool, gain: float) -> None:
    """A processor with these instructions, whose bf16 products are so many times as fast."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    seconds = {torch.float32: gain, torch.bfloat16: 1.0}
    monkeypatch.setattr(machine, "_product_seconds", seconds.__getitem__)


@pytest.mark.parametrize(
    ("has_bf16", "gain", "expected"),
    [(True, 2.0, True), (True, 0.5, False), (True, 1.1, False), (False, 9.0, False)],
)
def test_bf16_is_taken_where_it_has_instructions_that_pay(
    has_bf16: bool, gain: float, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, has_bf16=has_bf16, gain=gain)
    assert machine.multiplies_bf16_fast("cpu") is expected


def test_a_product_takes_time() -> None:
    assert machine._product_seconds(torch.float32) > 0
