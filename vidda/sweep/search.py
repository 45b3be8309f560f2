"""Which combinations of keys are tried next, from what is known of those before."""

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
"""Proposals that are looked at for one that is new; after so many, all there are are known."""


@dataclass(frozen=True, slots=True)
class Known:
    """A combination that was tried. value: of the score that chooses; None where it failed."""

    keys: Keys
    value: float | None


def more(
    search: GridSearch | OptunaSearch, keys: Mapping[str, Values], known: Sequence[Known]
) -> list[Keys]:
    """Combinations to try next; none when the search is over.

    They follow from the arguments alone, so that a search which was killed goes on as it would
    have. known: in the order in which they were proposed.
    """
    if not keys:
        return [] if known else [{}]
    if isinstance(search, GridSearch):
        names = list(keys)
        lists = [values for values in keys.values() if not isinstance(values, Range)]
        every = [dict(zip(names, point, strict=True)) for point in itertools.product(*lists)]
        return [point for point in every if point not in [one.keys for one in known]]
    wanted = min(search.together, search.points - len(known))
    return _proposed(search, keys, known, wanted) if wanted > 0 else []


def require_optuna() -> None:
    """Raise ViddaError unless Optuna is installed."""
    try:
        import optuna
    except ImportError:
        raise ViddaError(
            "search: Optuna is not installed: pip install 'vidda[sweep]', or take search.name=grid"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _proposed(
    search: OptunaSearch, keys: Mapping[str, Values], known: Sequence[Known], wanted: int
) -> list[Keys]:
    import optuna

    # A sampler of its own for each round: nothing of it needs to be kept between two sessions.
    seed = np.random.SeedSequence([search.seed, len(known)]).generate_state(1)[0]
    sampler = optuna.samplers.TPESampler(seed=int(seed))
    study = optuna.create_study(sampler=sampler, direction="maximize")
    kinds = {name: _distribution(values) for name, values in keys.items()}
    _tell(study, keys, kinds, known)
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


def _tell(
    study: "Study",
    keys: Mapping[str, Values],
    kinds: Mapping[str, "BaseDistribution"],
    known: Sequence[Known],
) -> None:
    """Add what was tried to a study that is new."""
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
