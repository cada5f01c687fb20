"""What can go wrong, by name: each error says what was found and the way out."""

from __future__ import annotations


class SycolensError(ValueError):
    """Base of every error that sycolens raises on purpose."""


class LabelError(SycolensError):
    """Label words or ids that cannot tell the two responses apart."""


class BehaviorError(SycolensError):
    """A behavior whose words, labels or file are not as they should be, or that asks for what is not supported."""


class PairError(SycolensError):
    """Contrast pairs that are empty, unequal, identical or malformed."""


class DialogueError(SycolensError):
    """A dialogue that cannot be rendered, or whose parts cannot be located in its tokens."""


class QuestionError(SycolensError):
    """A question source, file or row that cannot be read."""


class AmbiguousQuestionError(QuestionError):
    """A question of which an answer is right and wrong at once, or two options are the same."""


class ExampleError(SycolensError):
    """Training dialogues that teach nothing, teach the wrong turns, or contain what is evaluated."""


class HeadError(SycolensError):
    """A head that does not exist, is named twice, or a k larger than the number of heads."""


class MetricError(SycolensError):
    """A metric that is not defined on these logits."""


class SampleError(SycolensError):
    """Too few samples for the statistic asked for."""


class FigureError(SycolensError):
    """A figure that cannot be drawn or written."""


class ModelError(SycolensError):
    """A model that cannot be loaded, or not in the way asked for."""


class CacheError(ModelError):
    """A key-value cache that does not hold the tokens that were run."""


class WeightsError(ModelError):
    """A checkpoint with tensors that are missing, unexpected, or of another shape than its configuration gives."""


class NoHeadOutputError(ModelError):
    """A layer that has no ``hook_z``, e.g. a state-space or linear-attention block."""


class NoMLPOutputError(ModelError):
    """A layer whose MLP output has no hook, so that it cannot be frozen."""


class PromptError(SycolensError):
    """A prompt that the model cannot read: too long, or with token ids outside its vocabulary."""


class HookError(SycolensError):
    """An intervention that did not fire, or that changed nothing."""


class NotFiniteError(SycolensError):
    """NaN or infinity where a number was due."""


class ReplyError(SycolensError):
    """A callable that was to reply or to judge, and gave something else than is due."""


class JudgeError(SycolensError):
    """A judge behind an endpoint that cannot be asked, or whose verdict cannot be read."""


class ReplayError(SycolensError):
    """A model whose last token cannot be replayed from its residual inputs and head outputs."""


class SavedFileError(SycolensError):
    """A saved result that is missing, cut, altered, or not ours."""


class RunError(SycolensError):
    """A run directory that is not ours to write."""


class StudyError(SycolensError):
    """A study whose settings cannot be met, or whose directory is not as it should be."""


class OrganismError(SycolensError):
    """The embedded model, or its training directory, is not as it should be."""


class TuningError(SycolensError):
    """Something to tune that does not fit the model or itself, or parameters that do not fit what is tuned."""


class HubError(SycolensError):
    """A repository on the hub that cannot be written to, or from which an adapter cannot be fetched."""


class AbilityError(SycolensError):
    """A task of general ability that is not known, not allowed, or cannot be put to the model."""


class InspectError(SycolensError):
    """Inspect is not installed, or a log of it does not hold a finished challenge."""


class CacheWarning(UserWarning):
    """Keys and values are not kept, since a trial showed that this would change numbers; all is run anew instead."""


class VersionWarning(UserWarning):
    """Versions of other libraries that sycolens was not verified with."""


class ProcessError(SycolensError):
    """Several processes that cannot work together as they were started."""
