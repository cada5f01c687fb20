"""A dialogue's parts lie where its spans say, for every family of tokenizers."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sycolens.errors import DialogueError
from sycolens.prompts import PLAIN, ChatFormat, ContrastPairs, Dialogue, Question, TrainingExample, Turn
from sycolens.tune import encode_examples, examples_from_questions

from .conftest import CHATML, INST_SYSTEM

once_per_session = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="▁") | st.sampled_from(
    " \n\té鯨🐳\u200d\u0301"
)
said = st.text(CHARACTERS, min_size=1, max_size=25).filter(lambda text: text.strip())
ascii_words = st.lists(st.from_regex(r"[A-Za-z]{1,8}[.,?!]?", fullmatch=True), min_size=1, max_size=6).map(" ".join)


def three_turns(question: str, answer: str, challenge: str) -> Dialogue:
    return Dialogue(
        (
            Turn("user", question, "question"),
            Turn("assistant", answer, "first_answer"),
            Turn("user", challenge, "challenge"),
        )
    )


def covering(tokenizer: Any, text: str, start: int, end: int) -> tuple[int, int]:
    """Tokens over characters start to end by the offsets of the tokenizers library, none of ours."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    inside = [k for k, (a, b) in enumerate(offsets) if a < end and b > start and a < b]
    return inside[0], inside[-1] + 1


@once_per_session
@given(question=said, answer=said, challenge=said)
def test_decoding_a_span_gives_exactly_the_part_in_byte_bpe(
    byte_bpe: Any, question: str, answer: str, challenge: str
) -> None:
    rendered = three_turns(question, answer, challenge).render(byte_bpe)
    for part, content in (("question", question), ("first_answer", answer), ("challenge", challenge)):
        start, end = rendered.spans[part]
        decoded = byte_bpe.decode(rendered.token_ids[start:end])
        # After "user" the template breaks the line; only white space of the part itself may join that line break.
        assert decoded.strip() == content.strip()
        assert content in byte_bpe.decode(rendered.token_ids[start - 1 : end])


@once_per_session
@given(question=said, answer=said, challenge=said)
def test_spans_in_sentencepiece_are_those_of_the_tokenizers_library(
    metaspace_bpe: Any, question: str, answer: str, challenge: str
) -> None:
    rendered = three_turns(question, answer, challenge).render(metaspace_bpe)
    assert (
        rendered.text == f"<s>[INST] {question.strip()} [/INST] {answer.strip()}</s>[INST] {challenge.strip()} [/INST]"
    )
    at = len("<s>[INST] ")
    for part, content, gap in (
        ("question", question.strip(), " [/INST] "),
        ("first_answer", answer.strip(), "</s>[INST] "),
        ("challenge", challenge.strip(), ""),
    ):
        assert rendered.spans[part] == covering(metaspace_bpe, rendered.text, at, at + len(content))
        at += len(content) + len(gap)


@once_per_session
@given(question=said, answer=said, challenge=said)
def test_spans_of_a_slow_tokenizer_are_those_sentencepiece_itself_reports(
    slow_sentencepiece: Any, question: str, answer: str, challenge: str
) -> None:
    rendered = three_turns(question, answer, challenge).render(slow_sentencepiece)
    # Up to </s> the text is one run of SentencePiece, and its protocol buffer says which characters a piece covers.
    run = f"[INST] {question.strip()} [/INST] {answer.strip()}"
    pieces = slow_sentencepiece.sp_model.encode(run, return_type="proto").pieces
    # Of the byte pieces of a character only the last one is given its range, in bytes.
    ranges = [(p.begin, max(p.end, p.begin + p.piece.startswith("<0x"))) for p in pieces]
    at = len("[INST] ")
    for part, content in (("question", question.strip()), ("first_answer", answer.strip())):
        first, last = len(run[:at].encode()), len(run[: at + len(content)].encode())
        inside = [k for k, (start, end) in enumerate(ranges) if start < last and end > first]
        assert rendered.spans[part] == (inside[0] + 1, inside[-1] + 2)
        at += len(content) + len(" [/INST] ")


@once_per_session
@given(question=ascii_words, answer=ascii_words, challenge=ascii_words)
def test_decoding_a_span_gives_the_words_of_the_part_in_wordpiece(
    wordpiece: Any, question: str, answer: str, challenge: str
) -> None:
    rendered = three_turns(question, answer, challenge).render(wordpiece)
    for part, content in (("question", question), ("first_answer", answer), ("challenge", challenge)):
        start, end = rendered.spans[part]
        pieces = wordpiece.convert_ids_to_tokens(list(rendered.token_ids[start:end]))
        if "[UNK]" not in pieces:
            assert "".join(piece.removeprefix("##") for piece in pieces) == content.lower().replace(" ", "")


@once_per_session
@given(content=said)
def test_spaces_at_the_edges_are_found_where_the_library_trims_its_offsets(trimming_bpe: Any, content: str) -> None:
    rendered = Dialogue((Turn("user", content, "question"),)).render(trimming_bpe)
    start, end = rendered.spans["question"]
    assert content in trimming_bpe.decode(rendered.token_ids[start:end])
    assert content not in trimming_bpe.decode(rendered.token_ids[start + 1 : end])
    assert content not in trimming_bpe.decode(rendered.token_ids[start : end - 1])


def test_a_repeated_text_is_found_at_its_own_place(byte_bpe: Any) -> None:
    rendered = three_turns("Are you sure?", "Are you sure?", "Are you sure?").render(byte_bpe)
    places = [rendered.spans[part] for part in ("question", "first_answer", "challenge")]
    assert places == sorted(set(places))
    assert {byte_bpe.decode(rendered.token_ids[a:b]) for a, b in places} == {"Are you sure?"}


def test_every_byte_of_a_split_character_belongs_to_the_part(byte_bpe: Any) -> None:
    whale = Dialogue((Turn("user", "鯨", "question"),)).render(byte_bpe)
    start, end = whale.spans["question"]
    assert end - start == len("鯨".encode())
    assert byte_bpe.decode(whale.token_ids[start:end]) == "鯨"


def test_a_token_that_straddles_the_edge_belongs_to_the_part(metaspace_bpe: Any) -> None:
    # "▁Are" holds the template's space and the part's first letters.
    rendered = Dialogue((Turn("user", "Are you sure?", "question"),)).render(metaspace_bpe)
    start, _ = rendered.spans["question"]
    assert metaspace_bpe.convert_ids_to_tokens([rendered.token_ids[start]])[0].startswith("▁A")


def test_there_is_one_begin_token_in_chat_and_in_plain(metaspace_bpe: Any, byte_bpe: Any) -> None:
    dialogue = Dialogue((Turn("user", "Are you sure?", "question"),))
    for template in ("chat", "plain"):
        ids = dialogue.render(metaspace_bpe, chat_format=ChatFormat(template)).token_ids
        assert ids[0] == metaspace_bpe.bos_token_id
        assert ids.count(metaspace_bpe.bos_token_id) == 1
    assert dialogue.render(byte_bpe).token_ids == tuple(
        byte_bpe.apply_chat_template(dialogue.messages(), add_generation_prompt=True, return_dict=False)
    )


def test_plain_leaves_out_what_the_tokenizer_puts_after_a_text(wordpiece: Any) -> None:
    rendered = Dialogue((Turn("user", "Are you sure?", "question"),)).render(wordpiece, chat_format=PLAIN)
    assert rendered.token_ids[0] == wordpiece.cls_token_id
    assert wordpiece.sep_token_id not in rendered.token_ids
    start, end = rendered.spans["question"]
    assert wordpiece.decode(rendered.token_ids[start:end]).replace(" ", "") == "areyousure?"


def test_plain_is_written_as_documented(byte_bpe: Any) -> None:
    dialogue = Dialogue((Turn("system", "Be kind."), *three_turns("Which?", "B.", "Sure?").turns))
    assert dialogue.render(byte_bpe, chat_format=PLAIN).text == (
        "Be kind.\n\nUser: Which?\nAssistant: B.\nUser: Sure?\nAssistant:"
    )
    closed = dialogue.then("assistant", "Yes.", "reply").render(byte_bpe, chat_format=PLAIN, ending="closed")
    assert closed.text.endswith("Sure?\nAssistant: Yes.")
    assert byte_bpe.decode(closed.token_ids[slice(*closed.spans["reply"])]).strip() == "Yes."


def test_a_system_text_inside_the_first_user_turn_is_told_apart(metaspace_bpe: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(metaspace_bpe, "chat_template", INST_SYSTEM)
    rendered = Dialogue((Turn("system", "Be kind.", "system"), Turn("user", "Be kind.", "question"))).render(
        metaspace_bpe
    )
    system, question = rendered.spans["system"], rendered.spans["question"]
    assert system[1] <= question[0]
    assert metaspace_bpe.decode(rendered.token_ids[slice(*system)]).strip(" >") == "Be kind."
    assert metaspace_bpe.decode(rendered.token_ids[slice(*question)]).strip(" >") == "Be kind."


def test_a_system_text_before_the_last_user_turn_is_told_apart(byte_bpe: Any, monkeypatch: Any) -> None:
    # Mistral's later templates put the system text there.
    late = (
        "{% for m in messages %}{% if m.role != 'system' %}{% if loop.last %}{{ messages[0].content + '\n\n' }}"
        "{% endif %}{{ '<|im_start|>' + m.content + '<|im_end|>' }}{% endif %}{% endfor %}"
    )
    monkeypatch.setattr(byte_bpe, "chat_template", late)
    turns = three_turns("Which?", "It is B.", "Sure?").turns
    rendered = Dialogue((Turn("system", "Be kind.", "system"), *turns)).render(byte_bpe)
    said = {part: byte_bpe.decode(rendered.token_ids[a:b]) for part, (a, b) in rendered.spans.items()}
    assert said == {"system": "Be kind.", "question": "Which?", "first_answer": "It is B.", "challenge": "Sure?"}


def test_a_template_that_strips_what_is_said_leaves_the_part_stripped(byte_bpe: Any, monkeypatch: Any) -> None:
    for function, kept in (("trim", "Which?"), ("string", " \n Which? \n")):
        monkeypatch.setattr(byte_bpe, "chat_template", CHATML.replace("m.content", f"(m.content | {function})"))
        rendered = Dialogue((Turn("user", " \n Which? \n", "question"),)).render(byte_bpe)
        assert kept in rendered.text
        assert byte_bpe.decode(rendered.token_ids[slice(*rendered.spans["question"])]).strip() == "Which?"
        # The last token is the part's own, up to the template's <|im_end|>.
        assert rendered.token_ids[rendered.spans["question"][1]] == byte_bpe.convert_tokens_to_ids("<|im_end|>")


def test_template_options_reach_the_template(byte_bpe: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(byte_bpe, "chat_template", byte_bpe.chat_template + "{% if think %}{{ '<think>' }}{% endif %}")
    dialogue = Dialogue((Turn("user", "Are you sure?"),))
    thinking = ChatFormat(options={"think": True})
    assert dialogue.render(byte_bpe, chat_format=thinking).text.endswith("assistant\n<think>")
    assert dialogue.render(byte_bpe).text.endswith("assistant\n")


@pytest.mark.parametrize(
    ("template", "names"),
    [
        (None, 'no chat template.*template="plain"'),
        (
            "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
            "written? 0 times|writes the user turn .* 0 times",
        ),
        ("{% for m in messages %}{{ m.content + m.content }}{% endfor %}", "2 times"),
        ("{{ 'User: ' }}{% for m in messages[1:] %}{{ m.content }}{% endfor %}", "0 times"),
        (
            "{% for m in messages %}{{ m.content | replace('sure', 'certain') }}{% endfor %}",
            "rewrites the content",
        ),
        ("{{ raise_exception('never') }}", "refuses a dialogue of user: never"),
        ("{{ messages[0].nothing.at_all }}", "refuses a dialogue of user"),
    ],
)
def test_templates_that_cannot_be_followed_are_named(
    byte_bpe: Any, monkeypatch: Any, template: str | None, names: str
) -> None:
    monkeypatch.setattr(byte_bpe, "chat_template", template)
    with pytest.raises(DialogueError, match=names):
        Dialogue((Turn("user", "Are you sure?", "question"),)).render(byte_bpe)


def test_a_given_system_message_that_the_template_drops_is_refused(byte_bpe: Any, monkeypatch: Any) -> None:
    asked = [Question("What is 3?", ("4",), wrong=("5",)), Question("What is 4?", ("5",), wrong=("6",))]
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello."}]
    answered = TrainingExample.from_messages([*messages, {"role": "assistant", "content": "Good morning."}])
    drops = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
    assert drops != CHATML
    monkeypatch.setattr(byte_bpe, "chat_template", drops)
    for call in (
        lambda: Dialogue.from_messages(messages).render(byte_bpe),
        lambda: ContrastPairs.from_questions(asked, byte_bpe, system="Be kind."),
        lambda: ContrastPairs.from_dialogues([(messages, messages)], byte_bpe),
        lambda: encode_examples([answered], byte_bpe),
        lambda: encode_examples(examples_from_questions(asked, byte_bpe, system="Be kind."), byte_bpe),
    ):
        with pytest.raises(DialogueError, match=r"system turn .* 0 times"):
            call()


def test_a_system_message_of_ours_that_the_template_drops_is_told(byte_bpe: Any, monkeypatch: Any) -> None:
    asked = [Question("What is 3?", ("4",))]
    drops = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
    monkeypatch.setattr(byte_bpe, "chat_template", drops)
    with pytest.warns(UserWarning, match="drops system messages"):
        pairs = ContrastPairs.from_questions(asked, byte_bpe)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pairs.texts == ContrastPairs.from_questions(asked, byte_bpe, system=None).texts
        # One that refuses has told all who write dialogues for it.
        refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        monkeypatch.setattr(byte_bpe, "chat_template", refuses + CHATML)
        assert pairs.texts == ContrastPairs.from_questions(asked, byte_bpe).texts


def test_dialogues_that_make_no_sense_are_refused(byte_bpe: Any) -> None:
    with pytest.raises(DialogueError, match="no turns"):
        Dialogue(())
    with pytest.raises(DialogueError, match="role='human'"):
        Turn("human", "Hello.")  # type: ignore[arg-type]
    with pytest.raises(DialogueError, match="give it some text"):
        Turn("user", " \n")
    with pytest.raises(DialogueError, match="surrogate"):
        Turn("user", "\ud800")
    with pytest.raises(DialogueError, match="both called 'question'"):
        Dialogue((Turn("user", "a", "question"), Turn("user", "b", "question")))
    with pytest.raises(DialogueError, match="first turn"):
        Dialogue((Turn("user", "a"), Turn("system", "b")))
    with pytest.raises(DialogueError, match="must have a role"):
        Dialogue.from_messages([{"role": "user"}])
    answered = three_turns("a", "b", "c").then("assistant", "d")
    with pytest.raises(DialogueError, match='ending="closed"'):
        answered.render(byte_bpe)


def test_a_tokenizer_whose_chat_has_other_tokens_than_its_text_is_refused(byte_bpe: Any, monkeypatch: Any) -> None:
    honest = byte_bpe.apply_chat_template

    def other(messages: Any, *, tokenize: bool, **options: Any) -> Any:
        told = honest(messages, tokenize=tokenize, **options)
        return [*told, 0] if tokenize else told

    monkeypatch.setattr(byte_bpe, "apply_chat_template", other)
    with pytest.raises(DialogueError, match="other tokens than its text"):
        Dialogue((Turn("user", "Are you sure?", "question"),)).render(byte_bpe)
