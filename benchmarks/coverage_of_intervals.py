"""How often intervals hold the truth, and how often p-values reject what is true, simulated.

python benchmarks/coverage_of_intervals.py            # minutes; its output is the tables of docs/statistics.md
python benchmarks/coverage_of_intervals.py --quick    # seconds, a few repeats of everything
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy.stats import norm

from sycolens import HeadSet
from sycolens.statistics import (
    Clusters,
    benjamini_hochberg,
    bootstrap_interval,
    pooled_ratio_interval,
    pooled_share_interval,
    ratio_interval,
    share_interval,
    sign_flip_p,
    wilson_interval,
)
from sycolens.verify.comparison import compare_groups

Rng = np.random.Generator
Drawn = Callable[[Rng, tuple[int, ...]], np.ndarray]

NULLS: dict[str, Drawn] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed: exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "skewed: log-normal, sigma .5": lambda rng, shape: np.exp(0.5 * rng.normal(size=shape)) - np.exp(0.125),
    "skewed: log-normal, sigma 1": lambda rng, shape: np.exp(rng.normal(size=shape)) - np.exp(0.5),
    "heavy tails: t, 3 degrees": lambda rng, shape: rng.standard_t(3, size=shape),
}
"""Effects of mean zero."""
SIZES = (20, 50, 100, 300)
RUNS = (2, 3, 5, 10)
SHARES = (0.5, 0.1, 0.02)
ONES: dict[str, tuple[float, float]] = {
    "alike: beta(20, 20)": (20, 20),
    "wide: beta(2, 2)": (2, 2),
    "near 0: beta(2, 98)": (2, 98),
    "near 1, skewed: beta(9.8, .2)": (9.8, 0.2),
    "mostly near 0: beta(.3, 2.7)": (0.3, 2.7),
}
"""What the rates of runs are drawn from."""
DESIGNS = {
    "200 questions": (200, 1, 200, 0.0, 0.0),
    "40 questions, 200 cases, alike by half": (40, 1, 200, 0.5, 0.0),
    "40 questions, all or nothing": (40, 1, 200, 1.0, 0.0),
    "10 questions, 50 cases, alike by half": (10, 1, 50, 0.5, 0.0),
    "5 questions, 50 cases, all or nothing": (5, 1, 50, 1.0, 0.0),
    "40 x 22, nothing shared": (40, 22, 200, 0.0, 0.0),
    "40 x 22, each alike by .4": (40, 22, 200, 0.4, 0.4),
    "40 x 22, wordings all or nothing": (40, 22, 200, 0.0, 1.0),
    "40 x 11, each alike by .4": (40, 11, 200, 0.4, 0.4),
    "40 x 5, each alike by .3": (40, 5, 200, 0.3, 0.3),
    "40 x 3, each alike by .3": (40, 3, 200, 0.3, 0.3),
    "40 x 2, each alike by .3": (40, 2, 200, 0.3, 0.3),
    "200 questions dealt to 14 wordings, alike by half": (0, 14, 200, 0.0, 0.5),
}
"""Questions, wordings, cases, and what part of the variance a question, and a wording, has (on the probit scale)."""

Table = tuple[str, Sequence[str], Iterator[Sequence[str]]]


def held(low: object, high: object, truth: float) -> str:
    inside = (torch.as_tensor(low) <= truth) & (torch.as_tensor(high) >= truth)
    return told(inside.double().mean().item())


def told(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def means(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """The bootstrap interval of a head's mean effect, or of a mean attention mass."""
    for name, draw in NULLS.items():
        cells = []
        for size in SIZES:
            low, high = bootstrap_interval(torch.as_tensor(draw(rng, (size, repeats))), resamples=1000)
            cells.append(held(low, high, 0.0))
        yield name, *cells


def ratios(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """The interval of a drift: a ratio over texts of many lengths."""
    for spread in (0.5, 1.0, 1.5):
        cells = []
        for size in SIZES:
            counts = rng.integers(20, 128, (repeats, size))
            sums = counts * np.exp(rng.normal(-(spread**2) / 2, spread, (repeats, size)))
            ends = [ratio_interval(*map(torch.as_tensor, each)) for each in zip(sums, counts, strict=True)]
            cells.append(held(*zip(*ends, strict=True), 1.0))
        yield f"texts log-normal, sigma {spread:g}", *cells


def shares(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """The interval of a rate by what its cases share, beside Wilson's and a bootstrap with multiplied weights."""
    for name, (questions, wordings, cases, of_questions, of_wordings) in DESIGNS.items():
        asked = np.arange(cases) if not questions else np.arange(cases) % questions
        worded = rng.permutation(cases) % wordings
        clusters = Clusters.of(asked, worded)
        cells, widths = [], []
        for share in SHARES:
            hits = alike(rng, repeats, asked, worded, share, of_questions, of_wordings)
            low, high = share_interval(hits, clusters)
            cells.append(held(low, high, share))
            widths.append((high - low).median().item())
        naive = held(*wilson_interval(hits.sum(-1), cases), SHARES[-1])
        ends = [percentiles(rng, each, clusters) for each in hits[: max(10, repeats // 5)].numpy()]
        yield name, *cells, told(widths[1]), naive, held(*zip(*ends, strict=True), SHARES[-1])


def alike(
    rng: Rng,
    repeats: int,
    asked: np.ndarray,
    worded: np.ndarray,
    share: float,
    of_questions: float,
    of_wordings: float,
) -> torch.Tensor:
    """Outcomes [repeat, case] with parts of their variance shared by question and by wording."""
    parts = ((of_questions, asked), (of_wordings, worded))
    latent = math.sqrt(max(0.0, 1 - of_questions - of_wordings)) * rng.normal(size=(repeats, len(asked)))
    for part, codes in parts:
        latent += math.sqrt(part) * rng.normal(size=(repeats, codes.max() + 1))[:, codes]
    return torch.as_tensor(latent < norm.ppf(share))


def percentiles(rng: Rng, hits: np.ndarray, clusters: Clusters, resamples: int = 300) -> tuple[float, float]:
    """The percentile bootstrap that draws questions and wordings, and multiplies how often each came up."""
    weights = np.ones((resamples, len(hits)))
    for factor in clusters.factors:
        size = int(factor.max()) + 1
        weights *= rng.multinomial(size, np.full(size, 1 / size), resamples)[:, factor.numpy()]
    total = weights.sum(1)
    low, high = np.quantile((weights @ hits)[total > 0] / total[total > 0], (0.025, 0.975))
    return float(low), float(high)


def pooled_shares(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """The interval of a rate over runs: 40 questions, each asked twice in every run."""
    clusters = Clusters.of(np.arange(80) // 2)
    for name, (a, b) in ONES.items():
        cells = []
        for runs in RUNS:
            ends = []
            for _ in range(repeats):
                latent = np.repeat(rng.normal(size=40), 2) + rng.normal(size=(runs, 80))
                hits = torch.as_tensor(norm.cdf(latent / math.sqrt(2)) < rng.beta(a, b, (runs, 1)))
                ends.append(pooled_share_interval(hits, clusters))
            cells.append(held(*zip(*ends, strict=True), a / (a + b)))
        yield name, *cells


def pooled_ratios(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """The interval of a drift over runs: 100 texts, log-normal with sigma .5; so are the runs."""
    for spread in (0.0, 0.3, 0.5, 1.0, 1.5):
        cells = []
        for runs in RUNS:
            ends = []
            for _ in range(repeats):
                counts = rng.integers(20, 128, 100) * np.ones((runs, 1))
                of_runs = np.exp(rng.normal(-(spread**2) / 2, spread, (runs, 1)))
                sums = counts * of_runs * np.exp(rng.normal(-0.125, 0.5, 100))
                ends.append(pooled_ratio_interval(torch.as_tensor(sums), torch.as_tensor(counts)))
            cells.append(held(*zip(*ends, strict=True), 1.0))
        yield f"runs log-normal, sigma {spread:g}", *cells


def flips(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """How often p is at most .05 where the mean is zero; the last row is of a mean of .3 standard deviations."""
    cases = {**NULLS, "power: normal, mean .3": lambda rng, shape: rng.normal(0.3, 1, shape)}
    for name, draw in cases.items():
        for studentized in (False, True):
            cells = []
            for size in SIZES:
                values = torch.as_tensor(draw(rng, (size, repeats)))
                p = sign_flip_p(values, permutations=999, studentized=studentized)
                cells.append(told((p <= 0.05).double().mean().item()))
            yield name, "studentized" if studentized else "flips alone", *cells


def attention(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """p of a group of 4 of 48 heads: over heads, and over dialogues."""
    layers, width, group = 6, 8, 4

    def sizes(mass: Callable[[], np.ndarray], chosen: Callable[[], np.ndarray]) -> list[str]:
        found = []
        for _ in range(repeats):
            heads = HeadSet([(int(place) // width, int(place) % width) for place in chosen()])
            values = torch.as_tensor(mass()).reshape(-1, layers, width)
            settings = {"groups": 499, "seed": 0, "confidence": 0.95}
            seen = compare_groups(values, heads, span="challenge", model_name="", **settings)
            found.append((seen.p <= 0.05, seen.p_dialogues <= 0.05))
        return [told(float(np.mean(each))) for each in zip(*found, strict=True)]

    def any_four() -> np.ndarray:
        return rng.choice(layers * width, group, replace=False)

    def one_layer() -> np.ndarray:
        return rng.integers(layers) * width + rng.choice(width, group, replace=False)

    def of_heads() -> np.ndarray:
        return rng.beta(2, 2, (1, 48)) + 0.05 * rng.normal(size=(50, 48))

    def of_layers() -> np.ndarray:
        return np.repeat(rng.beta(2, 2, (1, layers)), width, 1) + 0.05 * rng.normal(size=(50, 48))

    # Where heads do differ, half of all groups lead in any dialogue: nothing that p over dialogues is about.
    yield "any four heads; heads differ", sizes(of_heads, any_four)[0], "–"
    yield "four heads of one layer; layers differ", sizes(of_layers, one_layer)[0], "–"
    for name, draw in NULLS.items():
        yield f"no head differs; dialogues {name}", *sizes(lambda draw=draw: draw(rng, (50, 48)), any_four)


def discoveries(repeats: int, rng: Rng) -> Iterator[Sequence[str]]:
    """Share of false ones among the heads with q of at most .05, on average: 48 heads, 100 pairs."""
    families = max(4, repeats // 10)
    for name, draw in NULLS.items():
        for true in (0, 8):
            cells = []
            for shared in (0.0, 0.5):
                values = draw(rng, (100, 48 * families)).reshape(100, families, 48)
                values = values * math.sqrt(1 - shared) + math.sqrt(shared) * draw(rng, (100, families, 1))
                values[..., :true] += 0.6 * values.std()
                for studentized in (False, True):
                    p = sign_flip_p(torch.as_tensor(values), permutations=999, studentized=studentized)
                    named = torch.stack([benjamini_hochberg(each) <= 0.05 for each in p])
                    false = named[:, true:].sum(1) / named.sum(1).clamp(min=1)
                    cells.append(told(false.mean().item()))
            yield name, str(true), *cells


def tables(repeats: int) -> Iterator[Table]:
    """Title, columns and rows of every table, each seeded alone."""

    def rng(place: int) -> Rng:
        return np.random.default_rng(place)

    by_size, by_runs = [f"n = {size}" for size in SIZES], [f"{runs} runs" for runs in RUNS]
    yield "Interval of a mean (bootstrap over pairs or dialogues)", ["samples", *by_size], means(repeats, rng(1))
    yield "Interval of a drift (t, and t on the logarithm)", ["texts", *by_size], ratios(repeats, rng(2))
    columns = ["cases", *(f"share {share:g}" for share in SHARES), "width at .1", "Wilson at .02", "bootstrap at .02"]
    yield "Interval of a rate", columns, shares(repeats, rng(3))
    yield "Interval of a rate over runs", ["rates of runs", *by_runs], pooled_shares(repeats // 2, rng(4))
    yield "Interval of a drift over runs", ["drifts of runs", *by_runs], pooled_ratios(repeats // 2, rng(5))
    yield "p of an effect: how often it is at most .05", ["effects", "p", *by_size], flips(repeats, rng(6))
    columns = ["what there is", "p over heads", "p over dialogues"]
    yield "p of attention: how often it is at most .05", columns, attention(repeats // 2, rng(7))
    columns = ["effects", "true ones", "flips", "studentized", "flips, heads alike", "studentized, heads alike"]
    yield "False discoveries among heads with q at most .05", columns, discoveries(repeats, rng(8))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few repeats, to see that it runs")
    quick = parser.parse_args(arguments).quick
    torch.set_num_threads(1)
    for title, columns, rows in tables(40 if quick else 1000):
        print(f"**{title}**\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)
        print()


if __name__ == "__main__":
    main()
