"""Paired statistics against scipy, statsmodels and exact enumeration."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar

from harness.api import HarnessError, Unit
from harness.stats.overall import mean_over_tasks, mean_over_tasks_and_seeds
from harness.stats.paired import Pairs, cluster_stderr, compare, gap_recovered, mcnemar, pair, permutation_p
from harness.stats.resample import redrawn, swapped
from harness.stats.seeds import compare_seeds


def pairs(a, b, cluster=None, weight=None):
    n = len(a)
    return Pairs(
        np.array(a, float), np.array(b, float), np.full(n, 1 / n) if weight is None else weight,
        np.arange(n) if cluster is None else np.array(cluster),
    )  # fmt: skip


def random_pairs(seed, n=200, clusters=None):
    rng = np.random.default_rng(seed)
    cluster = np.arange(n) if clusters is None else np.unique(rng.integers(0, clusters, n), return_inverse=True)[1]
    return pairs(rng.integers(0, 2, n), rng.integers(0, 2, n), cluster)


def test_stderr_is_scipys_without_clusters_and_statsmodels_with():
    plain = random_pairs(0)
    assert cluster_stderr(*plain.sums) == pytest.approx(stats.sem(plain.a - plain.b))
    grouped = random_pairs(1, clusters=40)
    fit = sm.OLS(grouped.a - grouped.b, np.ones(200)).fit(
        cov_type="cluster", cov_kwds={"groups": grouped.cluster, "use_correction": False}
    )
    count = grouped.cluster.max() + 1
    assert cluster_stderr(*grouped.sums) == pytest.approx(fit.bse[0] * np.sqrt(count / (count - 1)))


def test_bootstrap_spread_is_scipys():
    sample = random_pairs(2)
    drawn = compare(sample, resamples=20_000).resampled / 100
    theirs = stats.bootstrap((sample.a - sample.b,), np.mean, n_resamples=5000, method="percentile", rng=1)
    assert drawn.std() == pytest.approx(theirs.standard_error, rel=0.05)
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(theirs.confidence_interval, abs=0.01)


def test_bootstrap_t_is_scipys_for_normal_means():
    """With one unit a cluster and many of them the studentised interval tends to Student's."""
    sample = pairs(np.random.default_rng(9).normal(0.1, 1, 2000), np.zeros(2000))
    found = compare(sample, resamples=20_000)
    theirs = stats.ttest_1samp(sample.a, 0).confidence_interval()
    assert (found.low / 100, found.high / 100) == pytest.approx(theirs, abs=0.003)


@pytest.mark.parametrize("distinct", [3, 400])  # counts are drawn of few values, clusters of many
def test_both_ways_to_draw_worlds_have_the_moments_of_the_bootstrap(distinct):
    rng = np.random.default_rng(distinct)
    rows = np.column_stack([rng.integers(0, distinct, 400) / distinct, np.ones(400)])
    sums = redrawn(rows, 20_000, rng)
    assert (sums[:, 1] == 400).all()
    assert sums[:, 0].mean() == pytest.approx(rows[:, 0].sum(), abs=0.5)
    assert sums[:, 0].std() == pytest.approx(np.sqrt(400) * rows[:, 0].std(), rel=0.03)
    swaps = swapped(rows[:, 0], 20_000, rng)
    assert swaps.mean() == pytest.approx(0, abs=0.5)
    assert swaps.std() == pytest.approx(np.sqrt((rows[:, 0] ** 2).sum()), rel=0.03)


def mid_p(observed, flips):
    """Share of the flips beyond what was observed; what equals it counts half."""
    size = np.abs(flips) - abs(observed)
    return np.mean(size > 1e-9) + np.mean(np.abs(size) <= 1e-9) / 2


def test_sign_flip_is_the_exact_enumeration():
    d = np.array([1, 1, 1, -1, 0.5, 2, 0])
    flips = np.array([np.dot(signs, d) for signs in itertools.product((1, -1), repeat=len(d))])
    found = permutation_p(d.sum(), swapped(d, 100_000, np.random.default_rng(0)))
    assert found == pytest.approx(mid_p(d.sum(), flips), abs=0.005)


def test_sign_flip_agrees_with_scipys_permutation_test():
    sample = random_pairs(3, n=12)  # few enough for scipy to enumerate all permutations
    theirs = stats.permutation_test(
        (sample.a, sample.b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    expected = mid_p(theirs.statistic, theirs.null_distribution)
    assert compare(sample, resamples=100_000).p == pytest.approx(expected, abs=0.01)


def test_the_mean_of_one_task_is_the_task():
    one = compare(random_pairs(10, clusters=60))
    mean = mean_over_tasks([one], [1.0])
    assert (mean.points, mean.low, mean.high, mean.p) == pytest.approx((one.points, one.low, one.high, one.p))


def test_the_mean_over_tasks_is_welchs():
    """Two tasks of many items: half the sum of two independent means, whose interval scipy has as Welch's."""
    one, two = random_pairs(11, n=3000), random_pairs(12, n=2000)
    found = mean_over_tasks([compare(part, seed=seed) for seed, part in enumerate((one, two))], [0.5, 0.5])
    theirs = stats.ttest_ind(one.a - one.b, two.b - two.a, equal_var=False)
    low, high = theirs.confidence_interval()
    assert (2 * found.low / 100, 2 * found.high / 100) == pytest.approx((low, high), abs=0.004)
    assert found.p == pytest.approx(theirs.pvalue, abs=0.02)


def test_mcnemar_is_statsmodels():
    sample = random_pairs(4)
    table = [[((sample.a == i) & (sample.b == j)).sum() for j in (1, 0)] for i in (1, 0)]
    assert mcnemar(sample) == pytest.approx(their_mcnemar(table, exact=True).pvalue)
    assert mcnemar(pairs([0.5, 1], [0, 1])) is None


def test_identical_models_do_not_differ():
    same = random_pairs(5)
    result = compare(Pairs(same.a, same.a, same.weight, same.cluster))
    assert (result.points, result.low, result.high, result.p, result.won, result.lost) == (0, 0, 0, 1, 0, 0)


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 2, 50).repeat(4), rng.integers(0, 2, 50).repeat(4)
    alone, together = compare(pairs(a, b)), compare(pairs(a, b, np.arange(50).repeat(4)))
    assert together.high - together.low > 1.7 * (alone.high - alone.low)


def test_units_are_paired_by_id_and_others_refused():
    a = [Unit("x", "c", 1, 0.5), Unit("y", "c", 0, 0.5)]
    assert pair(a, a[::-1]).sums[0] == pytest.approx([0])
    with pytest.raises(HarnessError, match="same items"):
        pair(a, [Unit("x", "c", 1, 0.5), Unit("z", "c", 0, 0.5)])


def test_share_of_the_gap():
    rng = np.random.default_rng(7)
    base, teacher = rng.random(4000) < 0.4, rng.random(4000) < 0.8
    student = np.where(rng.random(4000) < 0.5, teacher, base)
    found = gap_recovered(pairs(student, base), pairs(teacher, base))
    assert found.low < 0.5 < found.high
    none = gap_recovered(pairs(student, base), pairs(base, base))
    assert np.isnan(none.low)


def test_seed_variance_is_that_of_a_two_way_model():
    """With balanced crossed effects the mean square estimate equals statsmodels' variance components."""
    rng = np.random.default_rng(8)
    seeds, items = 6, 400
    effect = 0.05 + 0.1 * rng.standard_normal((seeds, 1)) + 0.3 * rng.standard_normal((1, items))
    diff = effect + 0.2 * rng.standard_normal((seeds, items))
    found = compare_seeds([pairs(row, np.zeros(items)) for row in diff])
    row = diff.mean(1)
    mse = ((diff - diff.mean(0) - row[:, None] + diff.mean()) ** 2).sum() / ((seeds - 1) * (items - 1))
    variance = row.var(ddof=1) / seeds + diff.mean(0).var(ddof=1) / items - mse / (seeds * items)
    assert found.stderr / 100 == pytest.approx(np.sqrt(variance), rel=1e-3)
    assert found.seed_stderr > 2 * found.item_stderr


def test_the_mean_over_tasks_and_seeds_is_one_task_of_all_items():
    """Tasks of one size are parts of one task: the same mean and, but for the tasks' own means, the same error."""
    rng = np.random.default_rng(13)
    seeds, items = 5, 400
    diff = 0.05 + 0.1 * rng.standard_normal((seeds, 1)) + 0.3 * rng.standard_normal((1, items))
    diff = diff + 0.2 * rng.standard_normal((seeds, items))
    whole = compare_seeds([pairs(row, np.zeros(items)) for row in diff])
    parts = [compare_seeds([pairs(row, np.zeros(100)) for row in diff[:, i : i + 100]]) for i in range(0, items, 100)]
    found = mean_over_tasks_and_seeds(parts, [0.25] * 4)
    assert found.points == pytest.approx(whole.points)
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high), rel=0.05)
