"""The bytes that each token of a vocabulary stands for, parts of characters included."""

import re
from typing import Any

# How tokenizers that fall back to bytes write one, as "<0xE2>"; and how they write a space.
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
METASPACE = "\u2581"


def token_bytes(tokenizer: Any) -> dict[int, bytes]:
    """Return the bytes of every token that is not special.

    Known are the two ways in which byte-level BPE (GPT-2's alphabet) and SentencePiece with its
    marked spaces and byte fallback write their tokens.
    """
    special = set(tokenizer.all_special_ids)
    added = {i: token.content for i, token in tokenizer.added_tokens_decoder.items()}
    alphabet = _alphabet() if "ByteLevel" in repr(tokenizer.backend_tokenizer.decoder) else None
    return {
        token: added[token].encode() if token in added else _bytes_of(text, alphabet)
        for text, token in tokenizer.get_vocab().items()
        if token not in special
    }


def _bytes_of(text: str, alphabet: dict[str, int] | None) -> bytes:
    if alphabet is not None:
        return bytes(alphabet[character] for character in text)
    byte = BYTE.fullmatch(text)
    return bytes([int(byte[1], 16)]) if byte else text.replace(METASPACE, " ").encode()


def _alphabet() -> dict[str, int]:
    """Return the byte that each character of GPT-2's alphabet stands for."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    alphabet = bytes_to_unicode()  # type: ignore[no-untyped-call]
    return {character: byte for byte, character in alphabet.items()}
