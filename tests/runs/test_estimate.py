"""What a study computes is counted before it is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_study
import torch
from transformers import AutoModelForCausalLM

from sycolens import organism
from sycolens.errors import ModelError
from sycolens.runs import Study, StudyConfig
from sycolens.runs.estimate import Estimate, costs_of, shape_and_size
from sycolens.tasks import QuestionSet, World


def test_size_is_that_of_the_loaded_model() -> None:
    model = AutoModelForCausalLM.from_pretrained(organism.directory())
    shape, size = shape_and_size("organism")
    assert size == sum(each.numel() for each in model.parameters())
    assert (shape.n_layers, shape.n_heads) == (model.config.num_hidden_layers, model.config.num_attention_heads)


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="no/model"):
        shape_and_size("no/model")


def test_counts_are_those_of_the_study_that_was_made(made: Path) -> None:
    results = Study(made).results()
    costs = costs_of(results.config, shape_and_size("organism")[0], World())
    pairs, verified = results.finding.pairs, results.verification
    assert costs["find"].prompts == 2 * len(pairs)
    assert costs["find"].rows == len(pairs) * 48
    assert verified is not None
    curve = verified.necessity
    # Knocked out and kept alone: the whole model and, at every step, the heads and each set of controls.
    sets = len(curve.steps) + (len(curve.steps) - 1) * len(curve.controls)
    assert costs["verify"].replies == 2 * len(curve) * sets
    base = results.base
    replies = (
        2 * len(base.challenge)
        + sum(map(len, base.outcome.replies.values()))
        + sum(map(len, base.outcome.exact.values()))
    )
    assert costs["measure/base"].replies == replies
    assert costs["tune/spt-seed0"].examples == 10 * 4
    tuned = results.measured[1].outcome.drift
    assert tuned is not None
    assert costs["measure/spt-seed0"].prompts == 2 * len(tuned)
    assert costs["repatch"] == costs["find"]
    assert costs.keys() == {stage.name for stage in Study(made).stages}


def test_a_larger_study_takes_longer() -> None:
    small = Estimate.of(small_study.config())
    large = Estimate.of(small_study.config(find={"n": 4000}, tune={"examples_per_step": 400}))
    for name in ("find", "tune/spt-seed0"):
        assert large.seconds[name] > 10 * small.seconds[name] > 0
    torch.testing.assert_close(small.parameters, large.parameters)


def test_questions_are_asked_to_know_which_are_known() -> None:
    shape = shape_and_size("organism")[0]
    for known, replies in ((False, 0), (True, 2 * 30)):
        config = StudyConfig.of({"examples": {"known": known, "n": 30}})
        assert costs_of(config, shape, QuestionSet("a", ()))["examples"].replies == replies


def test_sources_of_a_model_are_counted_together() -> None:
    sources = [{"questions": "a"}, {"questions": "b", "n": 12}]
    config = StudyConfig.of({"model": {"name": "some/model"}, "measure": {"n": 30, "sources": sources}})
    costs = costs_of(config, shape_and_size("organism")[0], QuestionSet("a", ()))
    assert costs["measure/base"].replies == 4 * 42


def test_every_stage_counts_its_own_tokens() -> None:
    shape = shape_and_size("organism")[0]
    settings = {"verify": {"max_new_tokens": 16}, "look": {"max_new_tokens": 8}, "measure": {"max_new_tokens": 256}}
    costs = costs_of(StudyConfig.of({"behavior": "auto", **settings}), shape, QuestionSet("a", ()))
    assert (costs["look"].longest, costs["verify"].longest, costs["measure/base"].longest) == (8, 16, 256)
    # All conditions of a knockout go on from one run of a dialogue's prompt.
    assert [costs[name].own_prompts for name in ("look", "verify", "measure/base")] == [True, False, True]


def test_likelihoods_read_dialogues_again() -> None:
    shape = shape_and_size("organism")[0]
    read, compared = (
        costs_of(StudyConfig.of({"behavior": "auto", "look": {"scorer": scorer}}), shape, QuestionSet("a", ()))
        for scorer in ("replies", "likelihood")
    )
    more = compared["verify"].prompts - read["verify"].prompts
    assert more == 3 * compared["verify"].replies
    assert compared["measure/base"].prompts > read["measure/base"].prompts == 0
