"""The search: combinations of keys to try next, from the scores of those tried before."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidda.errors import ViddaError
from vidda.experiment.experiment_config import Keys
from vidda.sweep.sweep_config import GridSearch, OptunaSearch, Range, Values

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

DRAWS = 50
"""Proposals in which to find a new one; if there is none, every combination has been tried."""


@dataclass(frozen=True, slots=True)
class TriedPoint:
    """A combination of keys that was tried. value: of the score that chooses; None if it failed."""

    keys: Keys
    value: float | None


def propose_points(
    search: GridSearch | OptunaSearch, keys: Mapping[str, Values], known: Sequence[TriedPoint]
) -> list[Keys]:
    """Return the combinations to try next, none when the search is complete.

    keys: the values of each searched key. known: combinations tried so far, in the order in which
    they were proposed. The result depends on the arguments alone, so that a resumed search proposes
    what the killed one would have.
    """
    if not keys:
        return [] if known else [{}]
    if isinstance(search, GridSearch):
        names = list(keys)
        lists = [values for values in keys.values() if not isinstance(values, Range)]
        every = [dict(zip(names, point, strict=True)) for point in itertools.product(*lists)]
        return [point for point in every if point not in [one.keys for one in known]]
    wanted = min(search.together, search.points - len(known))
    return _propose_with_optuna(search, keys, known, wanted) if wanted > 0 else []


def require_optuna() -> None:
    """Raise ViddaError unless Optuna is installed."""
    try:
        import optuna
    except ImportError:
        raise ViddaError(
            "search: Optuna is not installed: pip install 'vidda[sweep]', or use search.name=grid"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _propose_with_optuna(
    search: OptunaSearch, keys: Mapping[str, Values], known: Sequence[TriedPoint], wanted: int
) -> list[Keys]:
    import optuna

    # A new sampler for each round: no state needs to be saved between two sessions.
    seed = np.random.SeedSequence([search.seed, len(known)]).generate_state(1)[0]
    sampler = optuna.samplers.TPESampler(seed=int(seed))
    study = optuna.create_study(sampler=sampler, direction="maximize")
    kinds = {name: _distribution(values) for name, values in keys.items()}
    _add_tried(study, keys, kinds, known)
    tried = [one.keys for one in known]
    found: list[Keys] = []
    for _ in range(DRAWS):
        proposal = study.ask(kinds).params
        point = {name: _value(keys[name], value) for name, value in proposal.items()}
        if point not in tried:
            tried.append(point)
            found.append(point)
        if len(found) == wanted:
            break
    return found


def _add_tried(
    study: "Study",
    keys: Mapping[str, Values],
    kinds: Mapping[str, "BaseDistribution"],
    known: Sequence[TriedPoint],
) -> None:
    """Add the combinations that were tried to a new study."""
    from optuna.trial import TrialState, create_trial

    for one in known:
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if one.value is None else TrialState.COMPLETE,
                value=one.value,
                params={name: _stored(keys[name], value) for name, value in one.keys.items()},
                distributions=dict(kinds),
            )
        )


def _distribution(values: Values) -> "BaseDistribution":
    from optuna import distributions

    if not isinstance(values, Range):
        # As text, because a choice may be a whole mapping.
        return distributions.CategoricalDistribution([json.dumps(value) for value in values])
    if values.whole:
        return distributions.IntDistribution(int(values.low), int(values.high), log=values.log)
    return distributions.FloatDistribution(values.low, values.high, log=values.log)


def _stored(values: Values, value: object) -> object:
    return value if isinstance(values, Range) else json.dumps(value)


def _value(values: Values, stored: object) -> object:
    return stored if isinstance(values, Range) else json.loads(str(stored))
