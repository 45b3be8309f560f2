"""Every loss against a slow reference in NumPy, its gradient against finite differences, and its
value where it should be zero, least or greatest."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.autograd import gradcheck

from vidda.adapt.losses.adamatch import (
    aligned,
    interpolated,
    pseudo_label_loss,
    relative_threshold,
    warm_up,
)
from vidda.adapt.losses.consistency import (
    agreed_labels,
    barlow,
    feature_distance,
    labelled_loss,
    soft_agreement,
    taught,
)
from vidda.adapt.losses.contrastive import (
    inter_domain_contrast,
    pair_contrast,
    pairing_agreement,
    supervised_contrast,
)
from vidda.adapt.losses.coral import coral
from vidda.adapt.losses.domain import domain_accuracy, domain_loss, ganin_strength, reverse
from vidda.adapt.losses.entropy import conditional_entropy, diversity, information_maximisation
from vidda.adapt.losses.mcc import class_confusion
from vidda.adapt.losses.mmd import mmd
from vidda.adapt.losses.scales import cluster_labels, scale_consistency
from vidda.adapt.losses.statistics import running, statistics_distance, view_distance
from vidda.adapt.losses.temporal import attended, attentive_entropy, relations, two_way_loss

RNG = np.random.default_rng(0)
A, B = RNG.normal(0, 1, (7, 5)), RNG.normal(0.5, 2, (6, 5))
OTHER = RNG.normal(0, 1, (7, 5))
LABELS = np.array([0, 1, 0, 2, 1, 0, 3])
DOMAINS = RNG.normal(0, 1, (7, 2))

Arrays = tuple[np.ndarray, ...]


def entropy_of(shares: np.ndarray) -> float:
    return float(-sum(p * np.log(p) for p in shares if p > 0))


def np_entropy(logits: np.ndarray) -> float:
    return float(np.mean([entropy_of(softmax(row)) for row in logits]))


def np_information(logits: np.ndarray) -> float:
    return np_entropy(logits) - 0.5 * entropy_of(softmax(logits, 1).mean(0))


def np_domain(source: np.ndarray, target: np.ndarray) -> float:
    one = [np.log(1 + np.exp(-x)) for x in source[:, 0]]
    two = [np.log(1 + np.exp(x)) for x in target[:, 0]]
    return float(np.mean(one) + np.mean(two)) / 2


def np_coral(source: np.ndarray, target: np.ndarray) -> float:
    apart = np.cov(source.T) - np.cov(target.T)
    return float((apart**2).sum() / (4 * source.shape[1] ** 2))


def np_coral_means(source: np.ndarray, target: np.ndarray) -> float:
    return np_coral(source, target) + float(((source.mean(0) - target.mean(0)) ** 2).mean())


def np_mmd(source: np.ndarray, target: np.ndarray) -> float:
    both = [*source, *target]
    squares = [((x - y) ** 2).sum() for i, x in enumerate(both) for y in both[:i]]
    scales = [np.mean(squares) * 2.0**i for i in (-2, -1, 0, 1, 2)]

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return sum(np.exp(-((x - y) ** 2).sum() / scale) for scale in scales)

    def mean(one: np.ndarray, two: np.ndarray) -> float:
        return float(np.mean([kernel(x, y) for x in one for y in two]))

    return mean(source, source) + mean(target, target) - 2 * mean(source, target)


def np_mcc(logits: np.ndarray) -> float:
    shares = softmax(logits / 2.5, axis=1)
    weights = np.array([1 + np.exp(-entropy_of(row)) for row in shares])
    weights *= len(logits) / weights.sum()
    classes = logits.shape[1]
    together = np.zeros((classes, classes))
    for weight, row in zip(weights, shares, strict=True):
        together += weight * np.outer(row, row)
    confusion = together / together.sum(1, keepdims=True)
    return float(sum(confusion[i, j] for i in range(classes) for j in range(classes) if i != j)) / (
        classes
    )


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def np_supcon(features: np.ndarray) -> float:
    near = unit(features) @ unit(features).T / 0.1
    found = []
    for i in range(len(near)):
        others = [j for j in range(len(near)) if j != i]
        partners = [j for j in others if LABELS[j] == LABELS[i]]
        if partners:
            whole = np.log(sum(np.exp(near[i, j]) for j in others))
            found.append(np.mean([whole - near[i, j] for j in partners]))
    return float(np.mean(found))


def np_supcon_products(features: np.ndarray) -> float:
    near, found = features @ features.T / 0.5, []
    for i in range(len(near)):
        others = [j for j in range(len(near)) if j != i]
        partners = [near[i, j] for j in others if LABELS[j] == LABELS[i]]
        if partners:
            found.append(np.log(sum(np.exp(near[i, j]) for j in others)) - np.mean(partners))
    return float(np.mean(found))


def np_across(source: np.ndarray, target: np.ndarray) -> float:
    near, found = unit(source) @ unit(target).T / 0.2, []
    for rows, mine, theirs in ((near, LABELS, LABELS[1:]), (near.T, LABELS[1:], LABELS)):
        for row, label in zip(rows, mine, strict=True):
            partners = row[theirs == label]
            if len(partners):
                found.append(np.log(np.exp(row).sum()) - partners.mean())
    return float(np.mean(found))


def np_pairing(source: np.ndarray, target: np.ndarray) -> float:
    found = []
    for t, y in enumerate(target):
        for s, x in enumerate(source):
            alike = float(unit(B)[t] @ unit(OTHER)[s] > 0.1)
            p = 1 / (1 + np.exp(-(x @ y)))
            found.append(-alike * np.log(p) - (1 - alike) * np.log(1 - p))
    return float(np.mean(found))


def np_labelled(logits: np.ndarray) -> float:
    rows = zip(log_softmax(logits, 1), LABELS, strict=True)
    return float(np.mean([-row[k] * (k != 1) for row, k in rows]))


def np_pairs(first: np.ndarray, second: np.ndarray) -> float:
    near = unit(first) @ unit(second).T / 0.1
    return float(
        -(np.diag(log_softmax(near, 1)).mean() + np.diag(log_softmax(near.T, 1)).mean()) / 2
    )


def np_barlow(first: np.ndarray, second: np.ndarray) -> float:
    one, two = ((v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5) for v in (first, second))
    loss = 0.0
    for i in range(first.shape[1]):
        for j in range(first.shape[1]):
            c = (one[:, i] * two[:, j]).mean()
            loss += (c - 1) ** 2 if i == j else 5e-3 * c**2
    return loss


def np_cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(1 - (unit(first) * unit(second)).sum(1).mean())


def np_taught(logits: np.ndarray) -> float:
    spread, guess = log_softmax(logits, 1), softmax(OTHER, 1)
    return float(np.mean([-max(g) * s[g.argmax()] for s, g in zip(spread, guess, strict=True)]))


def np_taught_share(logits: np.ndarray) -> float:
    spread, guess = log_softmax(logits, 1), softmax(OTHER, 1)
    share = np.mean([max(g) > 0.5 for g in guess])
    return float(share * np.mean([-s[g.argmax()] for s, g in zip(spread, guess, strict=True)]))


def np_agreement(first: np.ndarray, second: np.ndarray) -> float:
    one, two = softmax(first, 1), softmax(second, 1)
    middle = (one + two) / 2
    apart = (one * np.log(one / middle) + two * np.log(two / middle)).sum(1) / 2
    return float(apart.mean())


def np_pseudo(logits: np.ndarray) -> float:
    guess, spread = softmax(OTHER, 1), log_softmax(logits, 1)
    rows = zip(guess, spread, strict=True)
    return float(np.mean([-s[g.argmax()] if max(g) >= 0.5 else 0.0 for g, s in rows]))


def np_statistics(features: np.ndarray) -> float:
    means, variances = features.mean(0), features.var(0)
    return float(np.abs(means - A[0]).mean() + np.abs(variances - A[1] ** 2).mean())


def np_views(first: np.ndarray, second: np.ndarray) -> float:
    one, two = softmax(first, 1), softmax(second, 1)
    middle = (one + two) / 2
    return float(np.mean(np.abs(one - middle).sum(1) + np.abs(two - middle).sum(1))) / 2


def np_attentive(logits: np.ndarray, domains: np.ndarray) -> float:
    rows = zip(softmax(logits, 1), softmax(domains, 1), strict=True)
    return float(np.mean([(1 + entropy_of(d)) * entropy_of(y) for y, d in rows]))


def np_two_way(source: np.ndarray, target: np.ndarray) -> float:
    found = [-row[0] for row in log_softmax(source, 1)] + [
        -row[1] for row in log_softmax(target, 1)
    ]
    return float(np.mean(found))


def across(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    labels = torch.from_numpy(LABELS)
    return inter_domain_contrast(source, target, labels, labels[1:])


def pairing(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    here, there = (torch.from_numpy(x).to(source.dtype) for x in (OTHER, B))
    return pairing_agreement(source, target, here, there, 0.1)


def statistics_of(features: torch.Tensor) -> torch.Tensor:
    there, spread = (torch.from_numpy(x).to(features.dtype) for x in (A[0], A[1] ** 2))
    variance = features.var(0, correction=0)
    return statistics_distance([features.mean(0)], [variance], [there], [spread])


GUESS = torch.from_numpy(OTHER)
HALF = torch.tensor(0.5, dtype=torch.float64)

# Name, loss, reference, inputs, and whether the loss stops a gradient that finite differences see.
LOSSES: list[tuple[str, Callable[..., torch.Tensor], Callable[..., float], Arrays, bool]] = [
    ("entropy", conditional_entropy, np_entropy, (A,), False),
    ("information", lambda x: information_maximisation(x, 0.5), np_information, (A,), False),
    ("domain", lambda s, t: domain_loss(s[:, 0], t[:, 0]), np_domain, (A, B), False),
    ("coral", coral, np_coral, (A, B), False),
    ("coral_means", lambda s, t: coral(s, t, True), np_coral_means, (A, B), False),
    ("mmd", mmd, np_mmd, (A, B), True),
    ("mcc", class_confusion, np_mcc, (A,), True),
    ("supcon", lambda x: supervised_contrast(x, torch.from_numpy(LABELS)), np_supcon, (A,), False),
    (
        "products",
        lambda x: supervised_contrast(x, torch.from_numpy(LABELS), 0.5, normalise=False),
        np_supcon_products,
        (A,),
        False,
    ),
    ("across", across, np_across, (A, B), False),
    ("pairing", pairing, np_pairing, (A, B), False),
    (
        "labelled",
        lambda x: labelled_loss(x, torch.from_numpy(LABELS), torch.from_numpy(LABELS != 1)),
        np_labelled,
        (A,),
        False,
    ),
    ("pairs", pair_contrast, np_pairs, (A, OTHER), False),
    ("barlow", barlow, np_barlow, (A, OTHER), False),
    ("cosine", feature_distance, np_cosine, (A, OTHER), False),
    ("taught", lambda x: taught(x, GUESS.to(x.dtype)), np_taught, (A,), False),
    ("taught_share", lambda x: taught(x, GUESS.to(x.dtype), 0.5), np_taught_share, (A,), False),
    ("agreement", soft_agreement, np_agreement, (A, OTHER), False),
    ("pseudo", lambda x: pseudo_label_loss(x, GUESS.softmax(1), HALF), np_pseudo, (A,), False),
    ("statistics", statistics_of, np_statistics, (OTHER,), False),
    ("views", view_distance, np_views, (A, OTHER), False),
    ("attentive", attentive_entropy, np_attentive, (A, DOMAINS), False),
    ("two_way", two_way_loss, np_two_way, (DOMAINS, DOMAINS[:4]), False),
]


@pytest.mark.parametrize(
    ("loss", "reference", "inputs", "stops"),
    [row[1:] for row in LOSSES],
    ids=[row[0] for row in LOSSES],
)
def test_a_loss_is_its_reference_and_its_gradient_is_right(
    loss: Callable[..., torch.Tensor],
    reference: Callable[..., float],
    inputs: Arrays,
    stops: bool,
) -> None:
    tensors = [torch.tensor(array, requires_grad=True) for array in inputs]
    value = loss(*tensors)
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(reference(*inputs), abs=1e-6, rel=1e-6)
    single = loss(*(tensor.detach().float() for tensor in tensors))
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(float(value.detach()), rel=1e-4, abs=1e-4)
    gradients = torch.autograd.grad(value, tensors)
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradients)
    if not stops:
        assert gradcheck(loss, tensors)


def test_a_stopped_gradient_is_that_of_the_loss_with_the_rest_held() -> None:
    """mmd holds its bandwidth, mcc its weights: finite differences of the same with both held."""
    source, target = (torch.tensor(x, requires_grad=True) for x in (A, B))
    both = torch.cat([source, target]).detach()
    mean = (both[:, None] - both[None]).square().sum() / (len(both) * (len(both) - 1))

    def held(s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        def kernel(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
            squares = (one[:, None] - two[None]).square().sum(2)
            return sum((-squares / (mean * 2.0**i)).exp() for i in (-2, -1, 0, 1, 2)).mean()

        return kernel(s, s) + kernel(t, t) - 2 * kernel(s, t)

    assert gradcheck(held, (source, target))
    ours = torch.autograd.grad(mmd(source, target), (source, target))
    theirs = torch.autograd.grad(held(source, target), (source, target))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)

    logits = torch.tensor(A, requires_grad=True)
    cool = (logits / 2.5).softmax(1).detach()
    weights = 1 + torch.exp((cool * cool.log()).sum(1))
    weights = weights / weights.mean()

    def confused(x: torch.Tensor) -> torch.Tensor:
        p = (x / 2.5).softmax(1)
        together = (p * weights[:, None]).T @ p
        return 1 - (together / together.sum(1, keepdim=True)).trace() / x.shape[1]

    assert gradcheck(confused, (logits,))
    torch.testing.assert_close(
        torch.autograd.grad(class_confusion(logits), logits),
        torch.autograd.grad(confused(logits), logits),
    )


def test_zero_least_and_greatest() -> None:
    a, other = torch.tensor(A), torch.tensor(OTHER)
    sure = torch.eye(5, dtype=torch.float64) * 1e4
    flat = torch.zeros(6, 5, dtype=torch.float64)
    log5 = float(np.log(5))
    assert conditional_entropy(sure) == 0 and float(conditional_entropy(flat)) == pytest.approx(
        log5
    )
    assert float(diversity(sure)) == pytest.approx(log5) and diversity(sure[:1]) == 0
    assert float(information_maximisation(sure)) == pytest.approx(-log5)
    assert float(information_maximisation(flat)) == pytest.approx(0)
    assert coral(a, a.flip(0)) < 1e-30 and coral(a, a + 3) < 1e-28
    assert float(coral(a, a + 3, means=True)) == pytest.approx(9)
    assert abs(float(mmd(a, a.flip(0)))) < 1e-12 and mmd(a, a + 1) > mmd(a, a + 0.1) > 0
    same = torch.ones(4, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(mmd(same, same), same)
    assert torch.isfinite(gradient).all()
    assert class_confusion(sure) == 0
    assert float(class_confusion(flat)) == pytest.approx(4 / 5)
    assert feature_distance(a, 2 * a).abs() < 1e-12
    assert float(feature_distance(a, -a)) == pytest.approx(2)
    assert float(barlow(a, a, off_diagonal=0)) < 1e-8 < float(barlow(a, -a, off_diagonal=0))
    assert soft_agreement(a, a).abs() < 1e-12 and view_distance(a, a) == 0
    assert float(soft_agreement(sure, sure.roll(1, 0))) == pytest.approx(np.log(2))
    assert float(view_distance(sure, sure.roll(1, 0))) == pytest.approx(1)
    assert float(pair_contrast(flat + 1, flat + 1)) == pytest.approx(np.log(6))
    eye = torch.eye(5)
    assert pair_contrast(eye, eye) < 1e-3 < pair_contrast(eye, eye.roll(1, 0))
    alone = supervised_contrast(a, torch.arange(7))
    assert alone == 0
    near = torch.tensor(LABELS)[:, None] == torch.arange(4)
    assert supervised_contrast(near.double(), torch.tensor(LABELS)) < supervised_contrast(
        a, torch.tensor(LABELS)
    )
    zeros = torch.zeros(3, dtype=torch.float64)
    assert float(domain_loss(zeros, zeros)) == pytest.approx(np.log(2))
    assert domain_loss(zeros + 99, zeros - 99) < 1e-12
    assert domain_accuracy(zeros + 1, zeros - 1) == 1 and domain_accuracy(zeros - 1, zeros + 1) == 0
    assert taught(sure, sure) < 1e-12 and taught(other[:6], flat, threshold=0.9) == 0
    assert statistics_distance([a[0]], [a[1]], [a[0]], [a[1]]) == 0


def test_a_reversed_gradient() -> None:
    features = torch.tensor(A, requires_grad=True)
    turned = reverse(features, 0.3)
    assert torch.equal(turned, features)
    (gradient,) = torch.autograd.grad(turned.square().sum(), features)
    torch.testing.assert_close(gradient, -0.3 * 2 * torch.tensor(A))
    assert ganin_strength(0) == 0 and ganin_strength(0.5) == pytest.approx(2 / (1 + np.exp(-5)) - 1)
    assert 0.9999 < ganin_strength(1.0) < 1


def test_the_pieces_of_adamatch() -> None:
    a, other = torch.tensor(A), torch.tensor(OTHER)
    shares = torch.rand(a.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mixed = interpolated(a, other, shares)
    assert (mixed <= torch.maximum(a, other)).all() and (mixed >= torch.minimum(a, other)).all()
    assert torch.equal(interpolated(a, other, torch.ones(7, 5)), a)
    guess, wanted = other.softmax(1), torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1])
    shifted = aligned(guess, wanted, guess.mean(0))
    for row, old in zip(shifted.numpy(), guess.numpy(), strict=True):
        new = old * (wanted.numpy() + 1e-6) / (guess.mean(0).numpy() + 1e-6)
        np.testing.assert_allclose(row, new / new.sum(), rtol=1e-6)
    torch.testing.assert_close(aligned(guess, guess.mean(0), guess.mean(0)), guess)
    threshold = relative_threshold(a.softmax(1))
    assert float(threshold) == pytest.approx(0.9 * softmax(A, 1).max(1).mean())
    assert (warm_up(0), warm_up(0.25), warm_up(0.5), warm_up(0.9)) == (0, pytest.approx(0.5), 1, 1)


def test_the_pieces_of_ta3n() -> None:
    assert relations(4, 2, 99) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    few = relations(8, 4, 3)
    assert len(few) == len(set(few)) == 3 and all(list(r) == sorted(set(r)) for r in few)
    features, domains = torch.tensor(A), torch.tensor(DOMAINS)
    weights = [2 - entropy_of(row) for row in softmax(DOMAINS, 1)]
    torch.testing.assert_close(
        attended(features, domains), features * torch.tensor(weights)[:, None]
    )


def test_a_running_average_passes_a_gradient_to_the_new_value_alone() -> None:
    old, new = (torch.tensor([x], requires_grad=True) for x in (1.0, 3.0))
    after = running(old, new)
    assert float(after.detach()) == pytest.approx(1.2)
    gradients = torch.autograd.grad(after, (old, new), allow_unused=True)
    assert gradients[0] is None and gradients[1] is not None
    assert float(gradients[1]) == pytest.approx(0.1)


def test_autocast_does_not_round_a_loss() -> None:
    a, b = torch.tensor(A).float(), torch.tensor(B).float()
    for loss in (coral, mmd, lambda s, t: class_confusion(s), lambda s, t: barlow(s[:6], t)):
        with torch.autocast("cpu", torch.bfloat16):
            inside = loss(a, b)
        assert torch.equal(inside, loss(a, b))


def np_scales(one: np.ndarray, two: np.ndarray, whole: np.ndarray) -> float:
    average = (softmax(one, 1) + softmax(two, 1)) / 2
    found = []
    for scale in (one, two):
        sure = np.array([5 - entropy_of(row) for row in softmax(10 * scale, 1)])
        apart = [
            sum(a * (np.log(a) - np.log(p)) for a, p in zip(mean, row, strict=True))
            for mean, row in zip(average, softmax(scale, 1), strict=True)
        ]
        found.append(np.mean(sure / sure.mean() * apart))
    squares = ((softmax(whole, 1) - average) ** 2).sum(1).mean()
    return float(18 * np.mean(found) + 2 * squares)


def test_the_pieces_of_atcon() -> None:
    arrays = A, OTHER, A[::-1].copy()
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]

    def loss(one: torch.Tensor, two: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        return scale_consistency([one, two], whole)

    assert float(loss(*tensors).detach()) == pytest.approx(np_scales(*arrays), abs=1e-6)
    assert gradcheck(loss, tensors)
    assert float(loss(*[torch.tensor(A)] * 3)) == pytest.approx(0, abs=1e-12)


def test_pseudo_labels_by_clustering() -> None:
    rng = np.random.default_rng(3)
    features, logits = rng.normal(0, 1, (30, 4)), rng.normal(0, 1, (30, 5))
    unit_ = unit(np.hstack([features, np.ones((30, 1))]))
    weights, labels = softmax(logits, 1), np.zeros(30, int)
    for _ in range(2):
        centres = [
            sum(w * row for w, row in zip(weights[:, k], unit_, strict=True)) for k in range(5)
        ]
        lengths = [np.linalg.norm(centre) for centre in centres]
        labels = np.array(
            [
                max(
                    (row @ c / n, k)
                    for k, (c, n) in enumerate(zip(centres, lengths, strict=True))
                    if n
                )[1]
                for row in unit_
            ]
        )
        weights = np.eye(5)[labels]
    found = cluster_labels(torch.tensor(features), torch.tensor(logits))
    assert found.tolist() == labels.tolist()
    # Two groups, and a classifier that is right about most of the clips: all get their group's.
    groups = torch.tensor([[5.0, 0], [0, 5]]).repeat(10, 1)
    guess = torch.eye(2).repeat(10, 1) * 3
    guess[:2] = guess[:2].flip(0)
    assert cluster_labels(groups, guess).tolist() == [0, 1] * 10


def test_labels_of_two_judges() -> None:
    own = torch.tensor([[3.0, 0], [3.0, 0], [0.1, 0], [0.1, 0]])
    teacher = torch.tensor([[1.0, 0], [0, 1.0], [0, 4.0], [0, 0.2]])
    labels, sure = agreed_labels(own, teacher, 0.8)
    assert labels.tolist()[:3] == [0, 0, 1] and sure.tolist() == [True, True, True, False]


def test_contrast_without_anything_to_contrast_is_zero() -> None:
    a = torch.tensor(A, requires_grad=True)
    none = torch.zeros(0, 5, dtype=torch.float64)
    empty = torch.zeros(0, dtype=torch.int64)
    for loss in (
        inter_domain_contrast(a, none, torch.from_numpy(LABELS), empty),
        supervised_contrast(a[:0], empty),
    ):
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, a, allow_unused=True)
        assert gradient is None or (gradient == 0).all()
