"""What the shipped metrics say of themselves: tables, headings and priorities, what decides, one headline."""

from __future__ import annotations

import pytest

from sf2f_bench.benchmarks import BENCHMARKS
from sf2f_bench.metrics.lengths import AtLength
from sf2f_bench.metrics.retrieval import Recall
from sf2f_bench.metrics.similarity import TrueIdentity
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.protocols.names import BENCH, PAPER
from sf2f_bench.testing.checks import expect_card
from sf2f_bench.testing.metrics import CARD
from sf2f_bench.types import MetricCard


def metrics_of(protocol):
    named, benchmark = protocol_named(protocol), BENCHMARKS["synthetic-64"]
    return [*named.metrics(benchmark, 300), *named.metrics_of_draws(benchmark, 300, 8)]


METRICS = {protocol: {metric.name: metric for metric in metrics_of(protocol)} for protocol in (BENCH, PAPER)}
COLUMNS = {  # by protocol and table: heading, priority, in the order of the table
    (BENCH, "retrieval"): [
        ("recall@1 g100", 1),
        ("recall@5 g100", 5),
        ("recall@10 g100", 9),
        ("heard @10 g100", 7),
        ("recall@10 full", 8),
        ("median rank", 7),
        ("MRR", 6),
        ("matching 1:2", 0),
        ("mAP", -1),
    ],
    (BENCH, "likeness"): [
        ("cosine", 9),
        ("cosine heard", 3),
        ("verification AUC", 8),
        ("MI score", 7),
        ("Frechet", 6),
        ("Frechet, n to infinity", 4),
        ("kernel distance x1000", 5),
    ],
    (BENCH, "strata"): [
        *zip(
            (f"recall@10 g100 within {letter}" for letter in ("G", "N", "A", "GNA")),
            (9, 6, 5, 8),
            strict=True,
        ),
        *zip(
            (f"matching 1:2 within {letter}" for letter in ("G", "N", "A", "GNA")), (7, 1, 0, 2), strict=True
        ),
        ("matching 1:10", 4),
    ],
    (BENCH, "subgroups"): [
        (f"{term} {group}", priority)
        for term in ("recall@10", "AUC")
        for priority, groups in (
            (9, ("women", "men", "gap by gender")),
            (8, ("youngest third", "middle third", "oldest third", "gap by age")),
            (7, ("gap by nationality",)),
        )
        for group in groups
    ],
    (BENCH, "disturbance"): [
        (f"{term} {what}", priority)
        for term, priority in (("recall@10", 9), ("AUC", 1))
        for what in ("clean", "noise 20 dB", "noise 10 dB", "noise 0 dB", "telephone", "MP3")
    ],
    (BENCH, "draws"): [
        ("recall@10 best of 2 (chance .189)", 9),
        ("recall@10 best of 4 (chance .341)", 9),
        ("recall@10 best of 8 (chance .561)", 9),
        ("recall@10 mean of 8", 8),
        ("AUC mean of 8", 5),
        ("diversity for one voice", 7),
        ("over that between people", 7),
    ],
    (BENCH, "verification"): [
        ("verification AUC", 4),
        ("verification EER", 3),
        ("TAR at FAR 1%", 2),
        ("TAR at FAR 10%", 2),
    ],
    (BENCH, "traits"): [
        ("trait error", 9),
        ("heard", 8),
        ("landmark error", 8),
        ("age", 6),
        ("face height", 5),
        ("jaw width", 4),
        ("brow height", 3),
        ("skin tone", 2),
        ("nose length", 1),
        ("mouth width", 0),
    ],
    (BENCH, "distribution"): [
        ("precision k=5", 5),
        ("manifold recall k=5", 4),
        ("density k=5", 2),
        ("coverage k=5", 3),
        ("capped precision k=5", 3),
        ("diversity", 7),
        ("effective faces", 1),
        ("distinct faces", 9),
        ("copied faces", 8),
        ("copied pictures", 8),
        ("consistency", 6),
        ("consistency AUC", 0),
    ],
    (BENCH, "attributes"): [
        ("gender agreement", 9),
        ("ethnicity agreement", 7),
        ("age difference (years)", 8),
    ],
    (BENCH, "length"): [
        *((f"recall@10 {seconds} s", 10 + i) for i, seconds in enumerate(("1.25", "2.5", "5", "10"))),
        ("recall@10 g100", 14),
        *((f"cosine {seconds} s", 0) for seconds in ("1.25", "2.5", "5", "10")),
        ("cosine", 0),
    ],
    (BENCH, "training-loss"): [("recall@10 g100", 9), ("cosine", 9), ("MI score", 7)],
    (BENCH, "further"): [
        ("Frechet", 9),
        ("Frechet, n to infinity", 4),
        ("kernel distance x1000", 7),
        ("MI score", 6),
        ("recall@10 g100", 0),
        ("cosine", 5),
        ("verification AUC", 1),
        ("precision k=5", 3),
        ("manifold recall k=5", 2),
        ("density k=5", -1),
        ("coverage k=5", 0),
        ("capped precision k=5", -1),
    ],
    (PAPER, "retrieval"): [
        ("recall@1 g100x3", 1),
        ("recall@5 g100x3", 5),
        ("recall@10 g100x3", 9),
        ("recall@10 one segment", 8),
        ("recall@10 mean voice", 7),
    ],
    (PAPER, "likeness"): [
        ("cosine", 9),
        ("L1", 7),
        ("L2", 6),
        ("MI score", 8),
        ("MI ± over parts", 4),
        ("MI score fused", 5),
        ("Frechet", 3),
        ("Frechet fused", 1),
        ("MI score", 2),
        ("MI score fused", 0),
    ],
}
every_metric = pytest.mark.parametrize(
    ("protocol", "name"), [(protocol, name) for protocol, metrics in METRICS.items() for name in metrics]
)


@every_metric
def test_every_card_is_complete(protocol, name):
    metric = METRICS[protocol][name]
    expect_card(metric.card, MetricCard, CARD)
    assert metric.card.tables is not None, "the suite's own tables hold it, or files alone"
    assert set(metric.card.order) == set(metric.card.tables)
    low, high = metric.card.bounds
    if metric.card.chance is not None:
        assert low <= metric.card.chance <= high


@pytest.mark.parametrize(("protocol", "table"), COLUMNS)
def test_the_tables_hold_these_columns(protocol, table):
    cards = [metric.card for metric in METRICS[protocol].values() if table in metric.card.tables]
    cards.sort(key=lambda card: card.order[table])
    assert [(card.heading, card.tables[table]) for card in cards] == COLUMNS[protocol, table]


def test_there_are_no_other_tables():
    known = {
        (protocol, table)
        for protocol, metrics in METRICS.items()
        for metric in metrics.values()
        for table in metric.card.tables
    }
    assert known == set(COLUMNS)


@pytest.mark.parametrize(("protocol", "name"), [(BENCH, "recall@10/g100"), (PAPER, "recall@10/g100x3")])
def test_one_metric_is_the_headline(protocol, name):
    assert [other for other, metric in METRICS[protocol].items() if metric.card.headline] == [name]
    card = METRICS[protocol][name].card
    assert card.term == "recall@10"
    assert card.chance == 0.1


def test_the_headline_follows_the_ks():
    for ks, top in (((1, 5), 5), ((20, 50), 20), ((5, 12, 1), 5)):
        cards = [Recall(k, 100, headline_k=top).card for k in ks]
        assert [card.headline for card in cards] == [k == top for k in ks]


def test_a_stratum_is_the_only_difference_between_the_headline_and_its_strata():
    headline = METRICS[BENCH]["recall@10/g100"].card
    for letter in ("G", "N", "A", "GNA"):
        card = METRICS[BENCH][f"recall@10/g100/{letter}"].card
        assert card.quantity == headline.quantity
        assert card.parameters == {**headline.parameters, "stratum": letter}
        assert (card.chance, card.margin) == (headline.chance, headline.margin)


def test_published_networks_have_names_of_their_own():
    headings = {name: metric.card.headings for name, metric in METRICS[BENCH].items()}
    assert headings["frechet-distance"] == {"inception": "FID", "vggface2": "FVFD"}
    assert headings["frechet-distance/extrapolated"]["inception"] == "FID, n to infinity"
    assert headings["kernel-distance"] == {"inception": "KID x1000"}
    assert headings["mutual-information-score/parts5"] == {"inception": "IS", "vggface2": "VGGFace Score"}
    deviation = METRICS[PAPER]["mutual-information/5-parts/deviation"].card
    assert deviation.headings["vggface2"] == "VGGFace Score ± over parts"


def names(protocol, role, *fields):
    """Names of the metrics that one of these fields of the card gives to a role."""
    return {
        name
        for name, metric in METRICS[protocol].items()
        if any(role in getattr(metric.card, field) for field in fields)
    }


def test_what_decides_and_what_is_shown_beside_it():
    assert names(BENCH, "judge", "decides") == {
        "recall@10/g100",
        "cosine",
        "verification-auc",
        "mutual-information-score/parts5",
        "kernel-distance",
    }
    assert names(BENCH, "training-loss", "decides") == {"cosine", "verification-auc"}
    assert names(BENCH, "further", "decides") == set()
    assert names(BENCH, "judge", "shown") == {
        "median-rank/full",
        "map/photos",
        "matching/1:2",
        "frechet-distance",
        "diversity",
        "consistency",
    }
    assert names(BENCH, "training-loss", "shown") == {"recall@10/g100", "mutual-information-score/parts5"}
    assert names(BENCH, "further", "shown") == {"recall@10/g100", "cosine", "frechet-distance"}
    assert names(PAPER, "training-loss", "decides") == {"recall@10/g100x3", "cosine"}


def test_alarms_are_those_of_collapse_and_of_copies():
    alarms = {name: metric.card.alarm for name, metric in METRICS[BENCH].items() if metric.card.alarm}
    assert set(alarms) == {"effective-faces", "copied-faces", "copied-pictures"}
    assert (alarms["effective-faces"].limit, alarms["effective-faces"].of_true_photos) == (0.12, True)
    assert (alarms["copied-faces"].limit, alarms["copied-faces"].above) == (0.05, True)


@pytest.mark.parametrize(
    ("metric", "seconds", "priority", "place"),
    [
        (Recall(10, 100, headline_k=10), 1.25, 10, 0),
        (Recall(10, 100, headline_k=10), 7.0, 13, 3),
        (TrueIdentity("cosine"), 7.0, 0, 13),
    ],
)
def test_a_point_of_the_length_curve_is_its_metric_with_seconds(metric, seconds, priority, place):
    point = AtLength(metric, seconds).card
    assert point.parameters == {**metric.card.parameters, "seconds": seconds}
    assert (point.tables, point.order) == ({"length": priority}, {"length": place})
    assert (point.headline, point.decides, point.shown) == (False, (), ())
    assert (point.margin, point.bounds, point.chance) == (
        metric.card.margin,
        metric.card.bounds,
        metric.card.chance,
    )
