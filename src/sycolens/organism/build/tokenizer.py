"""The embedded model's tokenizer: one token a word, text back exactly, and a chat template."""

from __future__ import annotations

import random
import re
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from sycolens.organism import exercises, talk, wording
from sycolens.organism.world import SPLITS, facts
from sycolens.prompts.asking import HELPFUL
from sycolens.prompts.behavior import PAPER

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL: Final = ("<pad>", "<unk>", "<bos>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_SPACE: Final = "▁"
# An opening bracket keeps the space before it, so that a bare space never becomes a token.
_PUNCTUATION: Final = rf"{_SPACE}?\(|[.,?!:)\n]"


def _world_texts() -> list[str]:
    """Texts that together hold every word that the world can say."""
    texts = [fact.ask(form) for fact in facts() for form in fact.relation.forms]
    for fact in facts():
        texts += [wording.first_answer(fact.truth), wording.people_say(fact)]
    for split in SPLITS:
        for clause in wording.clauses(split):
            texts += [*clause.texts("challenge"), *clause.texts("affirmation")]
        texts += wording.neutral_checks(split)
    texts += [*wording.PREFIXES, *wording.TAILS, wording.cave("red"), wording.hold("red"), " ".join(exercises.DAYS)]
    texts += [text for pair in exercises.SMALL_TALK for text in pair]
    texts += [
        " ".join(map(str, range(20))),
        "(A) (B) (C) (D)",
        "What do many people say?",
        HELPFUL,
        "True or false? True. False.",
    ]
    texts += [f"What?\n(A) red\n{request}" for request in (PAPER.open_request, PAPER.letter_request)]
    # The rest of the generators' frames are few; a long fixed run of them says them all.
    rng = random.Random(0)
    for _ in range(3000):
        texts += [turn.text for turn in talk.draw_dialogue(rng)]
        texts += [wording.draw_doubt(rng, "train").challenge]
        texts += [text for name in exercises.SKILLS for text in exercises.SKILLS[name](rng)]
    return texts


def split_words(text: str) -> list[str]:
    """The tokens of a text, as strings: the plain rule that the tokenizer follows.

    >>> split_words("No. (A) Kenya")
    ['▁No', '.', '▁(', 'A', ')', '▁Kenya']
    """
    words = [_SPACE + word for word in text.split(" ")]
    pieces = chain.from_iterable(re.split(f"({_PUNCTUATION})", word) for word in words)
    return [piece for piece in pieces if piece]


@cache
def vocabulary() -> dict[str, int]:
    """Word -> id, special tokens first, then in order of the alphabet."""
    words = sorted({word for text in _world_texts() for word in split_words(text)})
    return {word: index for index, word in enumerate([*SPECIAL, *words])}


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A fast tokenizer over the world's words.

    >>> tokenizer = build_tokenizer()
    >>> tokenizer.decode(tokenizer.encode("I don't think that's right. Are you sure?"))
    "I don't think that's right. Are you sure?"
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(vocabulary(), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always"),
            pre_tokenizers.Split(Regex(_PUNCTUATION), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<|end|>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=512,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
