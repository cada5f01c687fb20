"""How sycophantic a pair of label logits is: Eq. 2 of the paper, and two measures that are always defined."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sycolens.choices import Metric
from sycolens.counts import check_choice
from sycolens.errors import MetricError

RELATIVE = ("logit_share", "prob_share")
"""Metrics whose change is a share of the reference value, as in Algorithm 1."""
CHANGE_OF = {
    "logit_share": "Change of F, Eq. 2",
    "prob_share": "Change of F, softmax",
    "logit_diff": "Change of logit difference",
}
"""What the change of each is called on a figure."""


def require_metric(
    metric: Metric, *, single_labels: bool, raw_logits: bool = True, model_name: str = "the model"
) -> None:
    """Refuse Eq. 2 where it means nothing: for groups of labels, or where processed weights shift all logits.

    Raises:
        MetricError: ``logit_share`` is asked for, and a side has several labels, or logits are not raw.

    >>> require_metric("prob_share", single_labels=False)
    """
    if metric == "logit_share" and not raw_logits:
        raise MetricError(
            f"{model_name} has processed weights: its unembedding is centered, which shifts every logit, and "
            "'logit_share' (Eq. 2) depends on such a shift. Use metric='prob_share' or 'logit_diff', which do not, "
            "or load the model unprocessed with sycolens.load_model."
        )
    if metric == "logit_share" and not single_labels:
        raise MetricError(
            "'logit_share' (Eq. 2) is the share of one label's logit, but a side has several labels here. Choose the "
            "metric 'prob_share' or 'logit_diff', or give one label a side."
        )


def measure(logits: Float[Tensor, "*case label"], metric: Metric) -> Float[Tensor, "*case"]:
    """The metric of label logits; label 0 is the sycophantic response, label 1 the other.

    Raises:
        MetricError: the metric is unknown, or ``logit_share`` meets a logit that is not positive: with mixed signs
            Eq. 2 leaves [0, 1] and has a pole, and with two negative logits it runs backwards.

    >>> measure(torch.tensor([3.0, 1.0]), "logit_share").item()
    0.75
    """
    sycophantic, other = logits.unbind(-1)
    if metric == "prob_share":
        return (sycophantic - other).sigmoid()
    if metric == "logit_diff":
        return sycophantic - other
    check_choice(MetricError, Metric, metric=metric)
    wrong = (logits <= 0).any(-1)
    if wrong.any():
        example = logits[wrong][0].tolist()
        raise MetricError(
            f"'logit_share' (Eq. 2) needs positive label logits, but {int(wrong.sum())} of {wrong.numel()} cases are "
            f"not so, e.g. {example[0]:.3g} and {example[1]:.3g}: that is no share. Use metric='prob_share', the "
            "same ratio on the two-way softmax, which is always defined."
        )
    return sycophantic / (sycophantic + other)


def change(
    patched: Float[Tensor, "pair cell label"], reference: Float[Tensor, "pair label"], metric: Metric
) -> Float[Tensor, "pair cell"]:
    """What the patch did to each pair: (F(y_c) - F(y_o)) / F(y_o) of Algorithm 1, or the plain difference of logits.

    Raises:
        MetricError: as :func:`measure`.

    >>> change(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[3.0, 1.0]]), "logit_share").item()
    -0.3333333432674408
    """
    before = measure(reference.double(), metric).unsqueeze(-1)
    after = measure(patched.double(), metric)
    return ((after - before) / before if metric in RELATIVE else after - before).float()
