"""First guesses of which component each example belongs to: k-means++ and random centres, many at once."""

from __future__ import annotations

import torch
from torch import Tensor

LLOYD = 10
"""So many times k-means moves its centres."""
SHARE = 0.1
"""The share of each example that is spread over all components: none begins with too few examples to have a spread."""


def first_guess(points: Tensor, starts: int, components: int, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Responsibilities to start from, (S, K, B): each example to its nearest centre, but for a share.

    The first half of the starts (one more where their number is odd) has the centres of k-means, begun by k-means++
    (Arthur & Vassilvitskii 2007), the others have examples drawn at random.

    Args:
        points: (D, B).
        starts: S.
        components: K.
        weight: How much each example counts, (B,).
        generator: Where random numbers come from.
    """
    if (there := int((weight > 0).sum())) < components:
        raise ValueError(f"components: expected at most as many as there are rows, {there:,}, got {components}")
    clustered = (starts + 1) // 2
    nearest = _nearest(points, _spread_out(points, clustered, components, weight, generator))
    for _ in range(LLOYD):
        nearest = _nearest(points, _centres(points, nearest, weight))
    if starts > clustered:
        centres = _scattered(points, starts - clustered, components, weight, generator)
        nearest = torch.cat([nearest, _nearest(points, centres)])
    return nearest.mul_(1 - SHARE).add_(SHARE / components)


def _spread_out(points: Tensor, starts: int, components: int, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Centres among the points, (S, K, D), each drawn with probability as its squared distance from those before it."""
    distance = torch.ones_like(points[0]).expand(starts, -1)
    centres: list[Tensor] = []
    for _ in range(components):
        odds = weight * distance
        odds = torch.where((odds.sum(-1, keepdim=True) > 0), odds, weight)  # fewer different points than components
        centre = points.mT[_drawn(odds, 1, generator)]
        found = _squared_distance(points, centre).squeeze(-2)
        distance = torch.minimum(distance, found) if centres else found
        centres.append(centre)
    return torch.cat(centres, -2)


def _scattered(points: Tensor, starts: int, components: int, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Centres among the points at random, (S, K, D), no two of them alike where there are so many different points."""
    direction = torch.randn(len(points), generator=generator, device=generator.device, dtype=points.dtype)
    places, which = (direction.to(points.device) @ points).unique(return_inverse=True)
    odds = torch.zeros_like(places).index_add_(0, which, weight)
    representative = torch.zeros_like(places, dtype=torch.long).index_copy_(
        0, which, torch.arange(len(which), device=which.device)
    )
    if int((odds > 0).sum()) < components:
        odds, representative = weight, torch.arange(len(weight), device=weight.device)
    return points.mT[representative[_drawn(odds.expand(starts, -1), components, generator)]]


def _drawn(odds: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Row numbers without replacement, (S, count): the largest of odds / e, e exponential (Efraimidis & Spirakis)."""
    e = torch.empty(odds.shape, dtype=torch.double, device=generator.device).exponential_(generator=generator)
    return (odds / e.to(odds.device)).topk(count, -1).indices


def _squared_distance(points: Tensor, centres: Tensor) -> Tensor:
    """|x_b - c_k|^2, (..., K, B)."""
    squares = centres.square().sum(-1, keepdim=True) + points.square().sum(0)
    return (squares - 2 * centres @ points).clamp_min(0)


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    """1 for the nearest centre of each point and 0 for others, (..., K, B)."""
    distance = _squared_distance(points, centres)
    return torch.zeros_like(distance).scatter_(-2, distance.argmin(-2, keepdim=True), 1.0)


def _centres(points: Tensor, nearest: Tensor, weight: Tensor) -> Tensor:
    """The means of the points that belong to each centre, (..., K, D); one without any goes to the mean of all."""
    shares = nearest * weight
    counts = shares.sum(-1, keepdim=True)
    overall = points @ weight / weight.sum()
    return torch.where(counts > 0, shares @ points.mT / counts, overall)
