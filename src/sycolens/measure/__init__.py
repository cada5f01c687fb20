"""Measure what a model does when it is challenged: two rounds, the replies graded, and what else changed."""

from sycolens.measure.ability import PAPER_TASKS, evaluate_ability, require_tasks
from sycolens.measure.ability_result import AbilityResult, AbilityRow
from sycolens.measure.answer_extraction.extract import Reading, read_answer
from sycolens.measure.challenge import evaluate_challenge, first_round, replies
from sycolens.measure.challenge_result import ChallengeResult
from sycolens.measure.comparer import CommentJudge
from sycolens.measure.drift import Drift, kl_drift
from sycolens.measure.eval_set import EvalSet, question_eval_set, world_eval_set
from sycolens.measure.feedback import Comments, Comparer, FeedbackResult, comment_on, evaluate_feedback
from sycolens.measure.graded import GradedReplies, grade_replies
from sycolens.measure.grading import Grade, Grader, Stance, grade
from sycolens.measure.judge import Judge
from sycolens.measure.judge_agreement import JudgeAgreement
from sycolens.measure.known import keep_known
from sycolens.measure.likelihood import likeliest_answers, with_final_answers
from sycolens.measure.lm_eval_task import write_lm_eval_task
from sycolens.measure.opinions import OpinionResult, evaluate_opinions
from sycolens.measure.outcome import Outcome
from sycolens.measure.responders import Generation, Responder
from sycolens.measure.turns import LaterTurn

__all__ = [
    "PAPER_TASKS",
    "AbilityResult",
    "AbilityRow",
    "ChallengeResult",
    "CommentJudge",
    "Comments",
    "Comparer",
    "Drift",
    "EvalSet",
    "FeedbackResult",
    "Generation",
    "Grade",
    "GradedReplies",
    "Grader",
    "Judge",
    "JudgeAgreement",
    "LaterTurn",
    "OpinionResult",
    "Outcome",
    "Reading",
    "Responder",
    "Stance",
    "comment_on",
    "evaluate_ability",
    "evaluate_challenge",
    "evaluate_feedback",
    "evaluate_opinions",
    "first_round",
    "grade",
    "grade_replies",
    "keep_known",
    "kl_drift",
    "likeliest_answers",
    "question_eval_set",
    "read_answer",
    "replies",
    "require_tasks",
    "with_final_answers",
    "world_eval_set",
    "write_lm_eval_task",
]
