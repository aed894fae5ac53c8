"""Names of decoders: one for each, safe as a file name, and the nearest right one for others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorasweep.errors import UserError
from lorasweep.study.decoders import Decoder, parse_decoder


@pytest.mark.parametrize(
    ("name", "decoder", "copies"),
    [
        ("greedy", Decoder("greedy"), 1),
        ("span", Decoder("span"), 1),
        ("top-k-10", Decoder("top-k", 10), 5),
        ("nucleus-0.95", Decoder("nucleus", 0.95), 5),
        ("temperature-1", Decoder("temperature", 1), 5),
        ("temperature-0.7", Decoder("temperature", 0.7), 5),
        ("beam-4", Decoder("beam", 4), 4),
    ],
)
def test_a_name_says_how_tokens_are_chosen(name: str, decoder: Decoder, copies: int) -> None:
    assert parse_decoder(name) == decoder
    assert decoder.copies(draws=5) == copies
    assert decoder.samples == (decoder.kind in ("top-k", "nucleus", "temperature"))


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("beam", "beam-4"),
        ("beam-1", "beam-4"),
        ("beam-08", "beam-8"),
        ("beam-4.0", "beam-4"),
        ("Beam(6)", "beam-6"),
        ("beam-4\n", "beam-4"),
        ("beam-65", "beam-4"),
        ("top_k(10)", "top-k-10"),
        ("topk20", "top-k-20"),
        ("top-k-0", "top-k-10"),
        ("top-p-0.8", "nucleus-0.8"),
        ("nucleus-0.90", "nucleus-0.9"),
        ("nucleus-.5", "nucleus-0.5"),
        ("nucleus-1", "nucleus-0.9"),
        ("temperature-0", "temperature-0.7"),
        ("temperature-0.0000001", "temperature-0.7"),
        ("greedy-1", "greedy"),
        ("spam", "span"),
        ("..", "greedy, span, top-k-10, nucleus-0.9, temperature-0.7, beam-4"),
    ],
)
def test_the_nearest_right_name_is_said(name: str, right: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_decoder(name)
    said = str(caught.value)
    assert said.startswith(f"no decoder {name!r}; ")
    assert f"did you mean {right!r}?" in said or said.endswith(f"; known: {right}")


@given(st.text(alphabet="abekmnpt-_()./0123456789\u0663", max_size=16))
def test_what_is_no_name_is_refused_and_names_are_safe(name: str) -> None:
    try:
        decoder = parse_decoder(name)
    except UserError:
        return
    number = f"-{decoder.number:g}" if decoder.number else ""
    assert name == f"{decoder.kind}{number}"
