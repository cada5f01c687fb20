"""Where each token of an encoded text lies in that text (exact, or not at all), and how it reads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from sycolens.errors import DialogueError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Span = tuple[int, int]
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Token ids of a text, with nothing added."""
    return tuple(tokenizer.encode(text, add_special_tokens=False, verbose=False))


def start_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """The special tokens that the tokenizer puts before a plain text, if the text does not bring them itself.

    What it would put after the text (an end token) is left out: the prompt ends where the model goes on.
    """
    bare = encode(tokenizer, text)
    full = tuple(tokenizer.encode(text, add_special_tokens=True, verbose=False))
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            prefix = full[:start]
            return () if bare[:start] == prefix else prefix
    raise DialogueError(
        "The tokenizer encodes the text differently when it adds its special tokens, so the place of the text's own "
        "tokens is unknown. Pass token ids with ContrastPairs.from_tokens."
    )


def continuation(
    tokenizer: PreTrainedTokenizerBase, text: str, words: str, *, lead: str = ""
) -> tuple[int, ...] | None:
    """Token ids of words that go on after a text, which has its own; None where the two melt into one token.

    ``lead`` is the space that a template writes between them; words that bring their own do without it. Where a
    SentencePiece word would be glued to an ordinary word of the text ("[/INST]Yes"), the words count as a new text,
    which is how such models are trained: "▁Yes", not "Yes".

    >>> tokenizer.convert_ids_to_tokens(continuation(tokenizer, "Are you sure?", "Yes", lead=" "))
    ['▁Yes']
    """
    lead = "" if words[0].isspace() else lead
    ids, extended, alone = encode(tokenizer, text), encode(tokenizer, text + lead + words), encode(tokenizer, words)
    spaced = bool(lead) or words[0].isspace() or text[-1:].isspace()
    glued = not spaced and bool(ids) and ids[-1] not in tokenizer.added_tokens_decoder
    if glued and alone and str(tokenizer.convert_ids_to_tokens([alone[0]])[0]).startswith("▁"):
        return alone
    whole = extended[: len(ids)] == ids and len(extended) > len(ids)
    return extended[len(ids) :] if whole else None


def spans_of(
    tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int], parts: Sequence[Span]
) -> list[Span | None]:
    """Half-open span of the tokens that hold any character of ``text[start:end]``, for every part ``(start, end)``.

    A token that straddles the edge belongs to the part; so does every byte token of a character in it. None where no
    token holds a character of it.

    Raises:
        DialogueError: the tokenizer gives no exact account of its tokens.
    """
    offsets = _spelled_offsets(tokenizer, text, ids)
    if offsets is None:
        offsets = _reported_offsets(tokenizer, text, ids)
    if offsets is None:
        return [_cut_out(tokenizer, text, ids, part) for part in parts]
    found: list[Span | None] = []
    for start, end in parts:
        inside = [k for k, (a, b) in enumerate(offsets) if a < b and a < end and b > start]
        found.append((inside[0], inside[-1] + 1) if inside else None)
    return found


# --- the tokens' own spelling: lossless vocabularies (byte BPE, SentencePiece), fast or slow ------------------------


@cache
def _byte_alphabet() -> dict[str, int]:
    """Byte-level BPE writes the printable Latin-1 bytes as themselves and the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    return {chr(b): b for b in printable} | {chr(0x100 + k): b for k, b in enumerate(others)}


def _byte_level(piece: str) -> bytes | None:
    alphabet = _byte_alphabet()
    return bytes(alphabet[c] for c in piece) if all(c in alphabet for c in piece) else None


def _sentencepiece(piece: str) -> bytes:
    byte = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("▁", " ").encode()


def _spelled_offsets(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]) -> list[Span] | None:
    """Character range of every token, where the tokens' spelling joins up to the very text."""
    known = tokenizer.added_tokens_decoder
    added = [known.get(token) for token in ids]
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    if not all(isinstance(piece, str) for piece in pieces):
        return None
    as_bytes = [a.content.encode() if a else _byte_level(p) for a, p in zip(added, pieces, strict=True)]
    if all(surface is not None for surface in as_bytes):
        offsets = _lay_out(text, text, [surface or b"" for surface in as_bytes], added)
        if offsets is not None:
            return offsets
    # SentencePiece writes a space as U+2581, and a U+2581 of the text likewise, so both sides read it as a space.
    as_pieces = [_sentencepiece(a.content if a else p) for a, p in zip(added, pieces, strict=True)]
    return _lay_out(text, text.replace("▁", " "), as_pieces, added)


def _lay_out(text: str, spelling: str, surfaces: Sequence[bytes], added: Sequence[Any]) -> list[Span] | None:
    """Lay the tokens' surfaces along the text's spelling (the same characters, but for U+2581)."""
    raw = spelling.encode()
    char_at = [k for k, char in enumerate(spelling) for _ in char.encode()] + [len(spelling)]
    count = len(surfaces)

    def past_space(at: int) -> int:
        while at < len(raw) and text[char_at[at]].isspace():
            at += len(spelling[char_at[at]].encode())
        return at

    def opens(k: int, at: int) -> int | None:
        """Where added token k starts if it is the next thing in the text."""
        if raw.startswith(surfaces[k], at):
            return at
        after = past_space(at)
        return after if added[k].lstrip and raw.startswith(surfaces[k], after) else None

    offsets: list[tuple[int, int]] = []
    at = k = 0
    while k < count:
        if added[k]:
            start = opens(k, at)
            if start is None:
                return None
            at = start + len(surfaces[k])
            if added[k].rstrip:
                at = past_space(at)
            offsets.append((start, at))
            k += 1
            continue
        stop = next((j for j in range(k, count) if added[j]), count)
        run = b"".join(surfaces[k:stop])
        # Many tokenizers put a space of their own before the first word, some also after a special token.
        for invented in (0, 1) if run.startswith(b" ") else (0,):
            end = at + len(run) - invented
            closes = end == len(raw) if stop == count else opens(stop, end) is not None
            if closes and raw.startswith(run[invented:], at):
                break
        else:
            return None
        for j in range(k, stop):
            length = len(surfaces[j]) - (invented if j == k else 0)
            offsets.append((at, at + length))
            at += length
        k = stop
    if at != len(raw):
        return None
    return [(char_at[a], char_at[b - 1] + 1) if a < b else (char_at[a], char_at[a]) for a, b in offsets]


# --- what a fast tokenizer reports: vocabularies that lose something (WordPiece, normalizers, unknown tokens) -------


def _reported_offsets(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]) -> list[Span] | None:
    if not getattr(tokenizer, "is_fast", False):
        return None
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = [(int(a), int(b)) for a, b in encoded["offset_mapping"]]
    if tuple(encoded["input_ids"]) != tuple(ids):
        return None
    covered = bytearray(len(text))
    for a, b in offsets:
        covered[a:b] = b"\x01" * (b - a)
    # Only spaces, controls and combining marks may be dropped; anything else uncovered means wrong offsets.
    lost = any(not covered[k] and unicodedata.category(char)[0] not in "ZCM" for k, char in enumerate(text))
    return None if lost else offsets


# --- no account at all: only cuts that provably no token crosses ----------------------------------------------------


def _cut_out(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int], part: Span) -> Span | None:
    start, end = (_cut(tokenizer, text, ids, at) for at in part)
    return (start, end) if start < end else None


def _cut(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int], at: int) -> int:
    """How many tokens lie before character ``at``, if both sides encode on their own to what they are together."""
    before = encode(tokenizer, text[:at]) if at else ()
    after = encode(tokenizer, text[at:]) if at < len(text) else ()
    if before + after != tuple(ids):
        raise DialogueError(
            f"{type(tokenizer).__name__} does not say which characters its tokens stand for, and a token may cross "
            f"character {at}, at {text[max(0, at - 15) : at + 15]!r}. Use the fast tokenizer of this model, or pass "
            "token ids with ContrastPairs.from_tokens."
        )
    return len(before)


_HALF = "\ufffd"
"""What tokenizers decode part of a character to."""


def spelled(tokenizer: PreTrainedTokenizerBase | None, prompts: Sequence[Sequence[int]]) -> list[tuple[str, ...]]:
    """Each token's own share of the decoded prompt, special tokens included.

    The shares of a prompt join up to its text. A character that is split over tokens stands with the last of them,
    and the others are empty. Without a tokenizer a token reads as its id.

    >>> spelled(tokenizer, [tokenizer.encode("Are you sure?")])
    [('<bos>', ' Are', ' you', ' sure', '?')]
    """
    if tokenizer is None:
        return [tuple(f" {token}" for token in prompt) for prompt in prompts]

    @cache
    def decode(ids: tuple[int, ...]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def shares(prompt: Sequence[int]) -> tuple[str, ...]:
        found: list[str] = []
        # A token's spaces depend on what stands before it, so it is decoded together with the last whole piece.
        before: tuple[int, ...] = ()
        begun: tuple[int, ...] = ()
        for place, token in enumerate(prompt):
            begun += (token,)
            head, whole = decode(before), decode(before + begun)
            text = whole[len(head) :] if whole.startswith(head) else decode(begun)
            if text.endswith(_HALF) and place < len(prompt) - 1:
                found.append("")
                continue
            found.append(text)
            before, begun = begun, ()
        return tuple(found)

    return [shares(prompt) for prompt in prompts]
