"""Settings chosen on a validation part: seeded, resumable, never by the last pass, and blind to the test part."""

import builtins
import functools
import warnings

import numpy as np
import optuna
import pandas as pd
import pytest
from conftest import press_ctrl_c, random_table
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sqlalchemy.pool import NullPool

import content_table as ct
from content_table_parts import solvers
from content_table_parts import study as study_module

SPACE = {"reg": ct.Range(0.1, 30.0, log=True), "bias_reg": ct.Range(0.1, 30.0, log=True)}


@pytest.fixture(scope="module")
def parts():
    return random_table(0, (30, 20)).split_random(0.25, 0)


def spectral():
    return ct.SpectralRegularization(reg=2.0, biases=True, bias_reg=2.0, tol=1e-3)


def sgd(**options):
    return ct.SGDMF(**({"n_factors": 2, "learning_rate": 0.02, "n_epochs": 30, "patience": 3} | options))


def history(study):
    return [(trial.params, trial.value) for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]


def tuned(parts, n_trials=6, **options):
    return ct.tune(spectral(), *parts, n_trials=n_trials, space=SPACE, **options)


# ---- What a study does ----


def test_the_first_trial_is_the_model_as_given_and_the_best_is_returned_refitted(parts):
    train, validation = parts
    model, study = (found := tuned(parts)).model, found.study
    assert study.trials[0].params == {"reg": 2.0, "bias_reg": 2.0}
    assert study.best_value == min(trial.value for trial in study.trials) <= study.trials[0].value
    assert {name: model.get_params()[name] for name in SPACE} == study.best_params
    assert model.ratings_.fingerprint == train.joined(validation).fingerprint
    again = spectral().set_params(**study.best_params).fit(train)
    assert ct.rmse(again, validation) == study.best_value


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_seed_gives_the_same_study_and_another_seed_another(parts, sampler):
    one, two, other = (tuned(parts, 14, sampler=sampler, random_state=seed).study for seed in (0, 0, 1))
    assert history(one) == history(two) != history(other)


def test_the_samplers_differ_once_tpe_has_seen_enough(parts):
    assert history(tuned(parts, 14).study) != history(tuned(parts, 14, sampler="random").study)


def test_optuna_is_quiet_in_a_study_and_what_it_was_before_after_it(parts):
    heard, before = [], optuna.logging.get_verbosity()

    def score(model, part):
        heard.append(optuna.logging.get_verbosity())
        if len(heard) == 2:
            raise KeyboardInterrupt
        return 1.0

    try:
        for loud in (optuna.logging.DEBUG, optuna.logging.ERROR):
            optuna.logging.set_verbosity(loud)
            tuned(parts, 1, score=lambda model, part: 1.0)
            assert optuna.logging.get_verbosity() == loud
        with pytest.raises(KeyboardInterrupt):
            tuned(parts, 2, score=score)
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
        assert heard == [optuna.logging.WARNING] * 2
    finally:
        optuna.logging.set_verbosity(before)


def test_what_optuna_says_as_it_is_imported_is_not_heard(monkeypatch):
    found = builtins.__import__

    def tell(name, *arguments, **options):
        if name == "optuna":
            warnings.warn("IProgress not found", UserWarning, stacklevel=2)
        return found(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", tell)
    assert study_module._optuna() is optuna


def test_the_study_that_is_returned_says_what_it_was_about(parts, tmp_path):
    for storage in (None, tmp_path / "study.db"):
        about = tuned(parts, 1, sampler="random", random_state=3, storage=storage).study.user_attrs
        assert (about["sampler"], about["random_state"], about["score"]) == ("random", "3", "rmse")
        assert about["space"] == str(SPACE)
        assert about["ratings"] == [[part.fingerprint for part in parts]]


def test_what_a_fit_warns_of_stands_with_its_trial_alone(parts):
    short, weak = spectral().set_params(n_epochs=3, tol=0), {"reg": ct.Range(1.0, 3.0)}
    with pytest.warns(ConvergenceWarning) as said:
        ct.tune(short, *parts, n_trials=2, space=weak)
    assert len(said) == 1  # of the refit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever somebody wants to hear of it
        study = ct.tune(short, *parts, n_trials=2, space=weak).study
    for trial in study.trials:
        (told,) = trial.user_attrs["warnings"]
        assert "n_epochs=3" in told
    assert tuned(parts, 1).study.trials[0].user_attrs["warnings"] == []


def test_a_model_that_keeps_its_last_pass_has_no_number_of_passes(parts):
    assert tuned(parts, 1).study.best_trial.user_attrs["n_epochs"] == 0
    assert tuned((parts[0], None), 1, n_folds=2).study.best_trial.user_attrs["n_epochs"] == 0


def test_progress_only_on_demand(parts, capsys):
    tuned(parts, 1)
    assert capsys.readouterr() == ("", "")
    tuned(parts, 1, progress=True)
    assert "trials" in capsys.readouterr().err


# ---- What a trial is worth ----


def test_a_trial_is_worth_its_best_pass_not_its_last(parts):
    train, validation = parts
    study = ct.tune(sgd(reg=0.001, learning_rate=0.1), train, validation, n_trials=1).study
    fit = sgd(reg=0.001, learning_rate=0.1).fit(train, validation)
    errors = [row["validation_rmse"] for row in fit.history_]
    assert study.best_value == pytest.approx(min(errors), abs=1e-12)
    assert study.best_value < errors[-1]
    assert study.best_value != pytest.approx(min(row["validation_loss"] for row in fit.history_))


def test_the_refit_runs_as_many_passes_as_were_best(parts):
    train, validation = parts
    found = ct.tune(sgd(), train, validation, n_trials=3, space={"reg": ct.Range(0.01, 0.1)})
    best = sgd(reg=found.study.best_params["reg"]).fit(train, validation).best_epoch_
    assert found.model.get_params()["n_epochs"] == best
    assert found.model.get_params()["patience"] is None
    assert len(found.model.ratings_) == len(train) + len(validation)


def test_the_refit_can_leave_the_validation_part_out(parts):
    train, validation = parts
    found = ct.tune(sgd(), train, validation, n_trials=2, refit="train")
    assert len(found.model.ratings_) == len(train)
    assert ct.rmse(found.model, validation) == pytest.approx(found.study.best_value, abs=1e-12)


def test_cross_validation_takes_the_mean_over_folds(parts):
    ratings = parts[0]
    study = ct.tune(spectral(), ratings, n_folds=4, n_trials=1, space=SPACE).study
    folds = ratings.split_folds(4, 0)
    assert study.best_value == pytest.approx(np.mean([ct.rmse(spectral().fit(a), b) for a, b in folds]), abs=1e-12)
    held = np.concatenate([part.rows * ratings.n_items + part.cols for _, part in folds])
    assert sorted(held) == sorted(ratings.rows * ratings.n_items + ratings.cols)
    assert all(len(a) + len(b) == len(ratings) for a, b in folds)


def test_another_score(parts):
    study = ct.tune(spectral(), *parts, n_trials=2, space=SPACE, score=ct.mae).study
    assert study.trials[0].value == ct.mae(spectral().fit(parts[0]), parts[1])
    ranked = lambda model, part: -ct.ranking_metrics(ct.top_lists(model, part, 5), part, 6)["ndcg"].mean()  # noqa: E731
    found = ct.tune(ct.ImplicitALS(n_factors=2, n_epochs=2000), *parts, n_trials=3, score=ranked)
    assert found.study.best_value <= found.study.trials[0].value < 0
    with pytest.raises(ValueError, match="ImplicitALS ranks"):
        ct.tune(ct.ImplicitALS(n_factors=2), *parts, n_trials=1)


def test_a_space_is_of_settings_of_the_candidates(parts):
    candidates = {"baseline": ct.BiasBaseline(), "mean": ct.GlobalMean()}
    space = {"base": {"reg": ct.Range(1, 9)}, "mean": {}, "other": {}}
    with pytest.raises(ValueError, match=r"space names \['base', 'other'\], which are no candidates"):
        ct.Tuned(candidates, n_trials=1, space=space).fit(parts[0])


def test_lists_are_looked_at_in_each_fifth_pass(parts):
    model = ct.ImplicitALS(n_factors=2, n_epochs=12, tol=0)
    options = {"score": "ndcg", "threshold": 6, "n": 3, "space": {"reg": ct.Range(1, 100)}}
    (trial,) = ct.tune(model, *parts, n_trials=1, **options).study.trials
    assert list(trial.intermediate_values) == [5, 10]
    final = missed(clone(model).fit(parts[0]), parts[1])
    assert trial.value == pytest.approx(final, abs=1e-12)
    assert min(trial.intermediate_values.values()) < 0
    by_function = ct.tune(model, *parts, n_trials=1, space=options["space"], score=missed).study.trials[0]
    assert list(by_function.intermediate_values) == [*range(1, 13)]  # of which nobody knows what it costs


def test_bad_trials_are_given_up_early(parts):
    space = {"learning_rate": ct.Range(1e-4, 0.2, log=True)}
    model = sgd(n_epochs=60, patience=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruned, whole = (ct.tune(model, *parts, n_trials=15, space=space, prune=prune).study for prune in (True, False))
    states = [trial.state.name for trial in pruned.trials]
    assert "PRUNED" in states
    assert {trial.state.name for trial in whole.trials} == {"COMPLETE"}
    early = [trial for trial in pruned.trials if trial.state.name == "PRUNED"]
    assert all(len(trial.intermediate_values) < 60 for trial in early)
    assert all(trial.user_attrs["given up"] == "worse than the median" for trial in early)
    reported = list(pruned.trials[0].intermediate_values.values())
    assert reported == sorted(reported, reverse=True)  # the best so far, so a late worsening costs nothing


def test_a_trial_is_given_up_once_it_is_worse_than_the_median_of_the_earlier_ones_but_not_in_the_first_passes(parts):
    model = sgd(n_epochs=40, patience=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = ct.tune(model, *parts, n_trials=15, space={"learning_rate": ct.Range(1e-4, 0.2, log=True)}).study

    def worse(trial):
        """Where it was worse than the median of those that had run to their end."""
        before = [each for each in study.trials[: trial.number] if each.state.name == "COMPLETE"]
        if len(before) < 5:
            return []
        median = {at: np.median([each.intermediate_values[at] for each in before]) for at in range(1, 41)}
        return [at for at, value in trial.intermediate_values.items() if at >= 10 and value > median[at]]

    given_up = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert 10 in {trial.last_step for trial in given_up}  # a hopeless one goes as soon as it may
    for trial in study.trials:
        assert worse(trial) == ([trial.last_step] if trial in given_up else [])


def test_a_trial_that_diverges_costs_itself_only(parts):
    space = {"learning_rate": ct.Range(0.02, 50.0, log=True)}
    found = ct.tune(sgd(), *parts, n_trials=8, space=space)
    gone = [trial for trial in found.study.trials if trial.user_attrs.get("given up") == "diverged"]
    assert gone
    assert found.study.best_value < 3
    with pytest.raises(ValueError, match="none of 2 trials could be scored"):
        ct.tune(sgd(learning_rate=40.0), *parts, n_trials=2, space={"learning_rate": ct.Range(30.0, 50.0)})


# ---- Stopped, and gone on ----


def test_a_study_goes_on_where_it_stopped(parts, tmp_path):
    whole = tuned(parts, 14).study
    tuned(parts, 5, storage=tmp_path / "study.db")
    resumed = tuned(parts, 14, storage=tmp_path / "study.db").study
    assert history(resumed) == history(whole)
    assert len(tuned(parts, 14, storage=tmp_path / "study.db").study.trials) == 14  # nothing left to do


def test_ctrl_c_loses_no_trial(parts, tmp_path):
    calls = []

    def score(model, validation):
        calls.append(model)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return ct.rmse(model, validation)

    with pytest.raises(KeyboardInterrupt):
        tuned(parts, 8, storage=tmp_path / "study.db", score=score)
    resumed = tuned(parts, 8, storage=tmp_path / "study.db", score=score).study
    assert history(resumed) == history(tuned(parts, 8, score=ct.rmse).study)
    assert [trial.state.name for trial in resumed.trials].count("FAIL") == 1


def test_ctrl_c_in_the_middle_of_a_fit_does_not_pass_for_a_trial(parts, tmp_path, monkeypatch):
    """On its own a fit keeps the passes it has; in a study half a fit is no trial."""
    press_ctrl_c(monkeypatch, solvers, "sgd_epoch", at=12)
    options = {"space": {"reg": ct.Range(0.01, 0.1)}, "n_trials": 3}
    with pytest.raises(KeyboardInterrupt):
        ct.tune(sgd(patience=30), *parts, storage=tmp_path / "study.db", **options)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resumed = ct.tune(sgd(patience=30), *parts, storage=tmp_path / "study.db", **options).study
        assert history(resumed) == history(ct.tune(sgd(patience=30), *parts, **options).study)


def test_a_trial_of_a_killed_process_is_tried_again(parts, tmp_path):
    tuned(parts, 3, storage=tmp_path / "study.db")
    file = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}", engine_kwargs={"poolclass": NullPool})
    killed = optuna.load_study(study_name="tune", storage=file).ask()
    settings = {name: r.suggest(killed, name) for name, r in SPACE.items()}
    resumed = tuned(parts, 5, storage=tmp_path / "study.db").study
    assert settings in [params for params, _ in history(resumed)]
    assert len(history(resumed)) == 5


@pytest.mark.parametrize("name", ["a?b.db", "a%20b.db", "a#b.db", "a b.db", "評価.db", "a@b:c.db"])
def test_a_study_is_kept_in_the_file_of_just_this_name(parts, tmp_path, name):
    assert len(tuned(parts, 2, storage=tmp_path / name).study.trials) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(tuned(parts, 3, storage=str(tmp_path / name)).study.trials) == 3


def test_no_connection_to_the_file_of_a_study_stays_open(parts, tmp_path, monkeypatch):
    asked = []

    class Watched(optuna.storages.RDBStorage):
        def __init__(self, *url, **how):
            super().__init__(*url, **how)
            asked.append(self)

    monkeypatch.setattr(optuna.storages, "RDBStorage", Watched)
    tuned(parts, 1, storage=tmp_path / "study.db")
    assert [type(storage.engine.pool) for storage in asked] == [NullPool]


def test_a_study_about_something_else_is_refused(parts, tmp_path):
    tuned(parts, 1, storage=tmp_path / "study.db")
    with pytest.raises(ValueError, match="holds a study with other ratings"):
        tuned(parts[::-1], 2, storage=tmp_path / "study.db")
    with pytest.raises(ValueError, match="other random_state"):
        tuned(parts, 2, storage=tmp_path / "study.db", random_state=1)
    with pytest.raises(ValueError, match="other model"):
        ct.tune(spectral().set_params(tol=1e-2), *parts, n_trials=2, space=SPACE, storage=tmp_path / "study.db")
    with pytest.raises(ValueError, match="other score"):
        tuned(parts, 2, storage=tmp_path / "study.db", score=ct.mae)


# ---- What is refused ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": {"reg": ct.Range(10.0, 20.0)}}, "reg=2.0 lies outside 10 to 20"),
        ({"space": {"weight": ct.Range(0.0, 1.0)}}, "no setting 'weight'"),
        ({"space": {}}, "no settings to tune"),
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"sampler": "grid"}, "sampler must be one of"),
        ({"refit": "test"}, "refit must be one of"),
        ({"random_state": None}, "random_state must be a whole number"),
        ({"n": 0}, "n must be at least 1"),
        ({"score": "ndcg", "threshold": "8"}, "threshold must be a finite number"),
        ({"score": "ndcg"}, "score='ndcg' needs threshold="),
        ({"score": "mae", "threshold": 8}, "threshold is for a score of lists"),
        ({"validation": None, "n_folds": 0}, "n_folds must be at least 1"),
        ({"validation": None, "n_folds": 1.0}, "n_folds must be a whole number"),
        ({"validation": None, "n_folds": 10_000}, "cannot make 10000 folds"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_any_fit(parts, options, message):
    options = {"ratings": parts[0], "validation": parts[1], "space": SPACE, "n_trials": 2} | options
    with pytest.raises(ValueError, match=message):
        ct.tune(spectral(), **options)


def test_models_without_settings_say_so(parts):
    for model in (ct.GlobalMean(), ct.Popularity(), ct.NuclearNorm()):
        with pytest.raises(ValueError, match=f"{type(model).__name__} has no settings to tune"):
            ct.tune(model, *parts)


def test_every_space_holds_the_defaults_and_names_its_units():
    for kind in ct.MODELS:
        model = kind()
        for name, r in model.search_space().items():
            assert r.low <= model.in_use(name) <= r.high, (kind, name)
            assert r.unit, (kind, name)
            assert not r.log or r.low > 0
    assert "bias_reg" not in ct.ALS().search_space()
    assert "bias_reg" in ct.ALS(biases=True).search_space()


def test_the_published_space_can_be_replayed(parts):
    assert {name: (r.low, r.high, r.log) for name, r in ct.PUBLISHED_SPACE.items()} == {
        "n_factors": (5, 50, False),
        "learning_rate": (1e-4, 1e-1, True),
        "reg": (1e-5, 1e-1, True),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some stop with the error still falling: so did the published ones
        study = ct.tune(sgd(n_factors=5), *parts, n_trials=4, space=ct.PUBLISHED_SPACE).study
    assert all(isinstance(trial.params["n_factors"], int) for trial in study.trials)


# ---- A model that chooses itself, and leaks ----


def test_a_tuned_model_that_was_not_fitted_says_so_instead_of_saving(tmp_path):
    with pytest.raises(NotFittedError, match="fit"):
        ct.Tuned(ct.BiasBaseline()).save(tmp_path / "model.npz")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["certificate", "n_parameters"])
def test_a_tuned_model_that_was_not_fitted_has_nothing_to_tell(name):
    with pytest.raises(NotFittedError, match="this Tuned has not been fitted"):
        getattr(ct.Tuned(ct.BiasBaseline()), name)()


def test_the_tuned_model_is_one_of_its_candidates(parts):
    train, validation = parts
    candidates = {"mean": ct.GlobalMean(), "biases": ct.BiasBaseline(), "spectral": spectral()}
    model = ct.Tuned(candidates, n_trials=5, n_folds=3).fit(train)
    assert model.chosen_ == min(model.scores_, key=model.scores_.get)
    assert set(model.scores_) == set(candidates)
    np.testing.assert_array_equal(model.predict_cells(validation.rows, validation.cols),
                                  model.model_.predict_cells(validation.rows, validation.cols))  # fmt: skip
    user = train.user_ids[0]
    pd.testing.assert_frame_equal(model.recommend(user, 3), model.model_.recommend(user, 3))
    assert model.certificate().relative_gap < 0.01
    assert model.n_parameters() == model.model_.n_parameters()


def test_a_candidate_without_a_finite_score_is_not_chosen(parts):
    models = {"biases": ct.BiasBaseline(reg=3.0), "mean": ct.GlobalMean()}

    def score(of_biases, of_mean):
        return lambda model, part: of_biases if isinstance(model, ct.BiasBaseline) else of_mean

    def fitted(*scores):
        return ct.Tuned(models, n_trials=2, n_folds=2, space={"biases": {}}, score=score(*scores)).fit(parts[0])

    assert fitted(np.nan, 1.0).chosen_ == "mean"
    assert fitted(1.0, np.nan).chosen_ == "biases"
    assert fitted(-np.inf, 1.0).chosen_ == "mean"
    with pytest.raises(ValueError, match="no candidate has a finite validation score"):
        fitted(np.nan, np.nan)


def test_a_tuned_model_saves_what_it_chose(parts, tmp_path):
    model = ct.Tuned(ct.BiasBaseline(), n_trials=3, n_folds=2).fit(parts[0])
    model.save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz", parts[0])
    assert isinstance(again, ct.BiasBaseline)
    np.testing.assert_array_equal(again.complete(), model.complete())


@pytest.mark.parametrize("candidates", [None, {}, {"mean": 4.0}, "spectral"])
def test_what_is_no_candidate_is_refused(parts, candidates):
    with pytest.raises(TypeError, match="candidates must be a model or a dict of models"):
        ct.Tuned(candidates).fit(parts[0])


def shuffled(ratings, rng):
    return ct.Ratings(ratings.user_ids, ratings.item_ids, ratings.rows, ratings.cols, rng.permutation(ratings.values),
                      scale=ratings.scale)  # fmt: skip


def blanked(ratings, rng):
    return ct.Ratings(ratings.user_ids, ratings.item_ids, ratings.rows, ratings.cols, np.full(len(ratings), 1.0),
                      scale=ratings.scale)  # fmt: skip


def leaks(pipeline, train, test):
    """Whether what a pipeline does depends on the values of the ratings that it must not know."""
    rng = np.random.default_rng(0)
    settings, predictions = pipeline(train, test)
    for change in (shuffled, blanked):
        other_settings, other = pipeline(train, change(test, rng))
        if other_settings != settings or not np.array_equal(other, predictions):
            return True
    return False


def honest(train, test):
    found = ct.tune(spectral(), train, n_folds=3, n_trials=6, space=SPACE)
    return found.study.best_params, found.model.predict_cells(test.rows, test.cols)


def nested(train, test):
    model = ct.Tuned({"biases": ct.BiasBaseline(), "spectral": spectral()}, n_trials=4, n_folds=3).fit(train)
    return model.model_.get_params(), model.predict_cells(test.rows, test.cols)


def tunes_on_the_test_part(train, test):
    found = ct.tune(spectral(), train, test, n_trials=6, space=SPACE, refit="train")
    return found.study.best_params, found.model.predict_cells(test.rows, test.cols)


def features_from_all_ratings(train, test):
    """The mean rating of each title, the test part's among them, as a feature: a leak that no split can see."""
    both = train.joined(test)
    mean = np.bincount(both.cols, both.values, both.n_items) / np.maximum(
        np.bincount(both.cols, minlength=both.n_items), 1
    )
    features = ct.Features(train.item_ids, mean[:, None] / 10, ["mean rating"])
    model = ct.ContentOnly(features, reg=1.0).fit(train)
    return model.get_params()["reg"], model.predict_cells(test.rows, test.cols)


@pytest.mark.parametrize("pipeline", [honest, nested])
def test_the_test_part_changes_no_setting_and_no_prediction(parts, pipeline):
    assert not leaks(pipeline, *parts)


@pytest.mark.parametrize("pipeline", [tunes_on_the_test_part, features_from_all_ratings])
def test_a_leak_is_found(parts, pipeline):
    assert leaks(pipeline, *parts)


@pytest.mark.parametrize("n_folds", [2, 3])
def test_the_folds_share_one_number_of_passes(parts, n_folds):
    """Each fold's own best pass would flatter the models that stop early beside those that do not."""
    ratings, model = parts[0].joined(parts[1]), sgd(patience=8, learning_rate=0.1, n_epochs=60)
    found = ct.tune(model, ratings, n_folds=n_folds, n_trials=1, space={"reg": ct.Range(0.01, 0.1)})
    fits = [clone(model).fit(*fold) for fold in ratings.split_folds(n_folds, 0)]
    curves = [[row["validation_rmse"] for row in fit.history_] for fit in fits]
    shortest = min(map(len, curves))
    shared = np.mean([curve[:shortest] for curve in curves], axis=0)
    assert found.study.best_value == pytest.approx(shared.min(), abs=1e-12)
    assert found.study.best_value > np.mean([min(curve) for curve in curves])
    assert found.model.get_params()["n_epochs"] == shared.argmin() + 1


def test_by_another_score_each_fold_keeps_its_best_pass_and_is_judged_there(parts):
    ratings, model = parts[0], sgd(patience=8)
    space, folds = {"reg": ct.Range(0.01, 0.1)}, parts[0].split_folds(3, 0)
    fits = [clone(model).fit(*fold) for fold in folds]
    for score in ("mae", ct.mae):
        found = ct.tune(model, ratings, n_folds=3, n_trials=1, space=space, score=score).study.best_trial
        errors = [ct.mae(fit, part) for fit, (_, part) in zip(fits, folds, strict=True)]
        assert found.value == pytest.approx(np.mean(errors), abs=1e-12)
        assert found.user_attrs["n_epochs"] == round(np.mean([fit.best_epoch_ for fit in fits]))
    by_name, by_function = (
        ct.tune(model, ratings, n_folds=2, n_trials=1, space=space, score=score).study for score in ("rmse", ct.rmse)
    )
    assert history(by_name) == history(by_function)
    assert by_name.best_trial.user_attrs == by_function.best_trial.user_attrs


def test_of_folds_the_first_is_what_a_refit_without_its_validation_part_learns_from(parts):
    (first, held), *_ = folds = parts[0].split_folds(3, 0)
    model = ct.tune(spectral(), parts[0], n_folds=3, n_trials=1, space=SPACE, refit="train").model
    assert model.ratings_.fingerprint == first.fingerprint
    assert len(first) + len(held) == len(parts[0])
    assert len({train.fingerprint for train, _ in folds}) == 3


def test_the_model_as_given_may_lie_on_either_end_of_its_range(parts):
    for low, high in ((2.0, 9.0), (0.5, 2.0)):
        assert ct.tune(spectral(), *parts, n_trials=1, space={"reg": ct.Range(low, high)}).model.reg == 2.0
    for low, high in ((2.1, 9.0), (0.5, 1.9)):
        with pytest.raises(ValueError, match=r"reg=2\.0 lies outside"):
            ct.tune(spectral(), *parts, n_trials=1, space={"reg": ct.Range(low, high)})
    with pytest.raises(ValueError, match=r"clip=None lies outside 0\.1 to 1"):
        ct.tune(sgd(clip=None), *parts, n_trials=1, space={"clip": ct.Range(0.1, 1.0)})


def test_settings_of_a_model_inside_of_a_model_are_not_its_own(parts):
    mix = ct.Blend(ct.BiasBaseline(), ct.GlobalMean(), weight=0.5)
    found = ct.tune(mix, *parts, n_trials=2, space={"weight": ct.Range(0.1, 0.9)})
    assert found.study.trials[0].params == {"weight": 0.5}
    with pytest.raises(ValueError, match=r"Blend has no setting 'first__reg'; it has .*'weight'"):
        ct.tune(mix, *parts, n_trials=1, space={"first__reg": ct.Range(1.0, 9.0)})


# ---- What a study must not mix up ----


def test_other_features_are_another_study(parts, tmp_path):
    ids, rows = np.arange(20), np.random.default_rng(0).random((20, 3))
    about, turned = (ct.Features(ids, matrix, list("abc")) for matrix in (rows, rows[::-1]))
    ct.tune(ct.ContentOnly(about), *parts, n_trials=1, storage=tmp_path / "study.db")
    assert len(ct.tune(ct.ContentOnly(about), *parts, n_trials=2, storage=tmp_path / "study.db").study.trials) == 2
    with pytest.raises(ValueError, match="holds a study with other model"):
        ct.tune(ct.ContentOnly(turned), *parts, n_trials=3, storage=tmp_path / "study.db")


def test_a_stored_study_asks_for_a_score_with_a_name(parts, tmp_path):
    nameless = lambda model, part: ct.rmse(model, part)  # noqa: E731
    assert tuned(parts, 1, score=nameless).study.best_value > 0
    for score in (nameless, functools.partial(ct.rmse, clip=True)):
        with pytest.raises(ValueError, match="a stored study remembers its score by name"):
            tuned(parts, 1, score=score, storage=tmp_path / "study.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("score", [None, "rmsle", "predict", 1.0, [ct.rmse]])
def test_a_score_is_a_name_that_is_known_or_a_function(parts, score):
    with pytest.raises(TypeError, match=r"score is one of \('rmse', 'mae', 'precision', .*'hit'\) or a function"):
        tuned(parts, 1, score=score)
    with pytest.raises(TypeError, match=r"score is one of"):
        tuned(parts, 1, score=score, threshold=5)  # whatever else is wrong


def test_a_score_that_gives_no_number_is_refused_by_name(parts):
    with pytest.raises(TypeError, match=r"score must give a number, got None"):
        tuned(parts, 1, score=lambda model, part: None)


def test_a_study_is_kept_in_a_file_that_can_be_written_or_the_error_says_why(parts, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*elsewhere"):
        tuned(parts, 1, storage=tmp_path / "elsewhere" / "study.db")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        tuned(parts, 1, storage=tmp_path)
    with pytest.raises(TypeError, match="storage must be text or a Path, got 5"):
        tuned(parts, 1, storage=5)


@pytest.mark.parametrize("score", [ct.rmse, ct.mae])
def test_a_score_by_its_name_is_the_function(parts, score, tmp_path):
    by_name, by_function = (tuned(parts, 4, score=each).study for each in (score.__name__, score))
    assert history(by_name) == history(by_function)
    assert by_name.best_value == score(spectral().set_params(**by_name.best_params).fit(parts[0]), parts[1])
    tuned(parts, 2, score=score, storage=tmp_path / "study.db")  # and it is the same study
    assert len(tuned(parts, 4, score=score.__name__, storage=tmp_path / "study.db").study.trials) == 4


def test_a_function_of_that_name_that_is_not_ours_is_asked_all_the_same(parts):
    def rmse(model, part):
        return 4.2

    rmse.__qualname__ = "rmse"  # as if it stood at the top of somebody's file
    found = ct.tune(sgd(), parts[0], n_folds=2, n_trials=1, space={"reg": ct.Range(0.01, 0.1)}, score=rmse)
    assert found.study.best_value == 4.2


def test_the_usual_score_is_the_rmse(parts):
    assert history(tuned(parts, 3).study) == history(tuned(parts, 3, score=ct.rmse).study)


@pytest.mark.parametrize("space", [{"reg": (1, 30)}, [("reg", ct.Range(1, 30))]])
def test_a_space_is_made_of_ranges(parts, space):
    with pytest.raises(TypeError, match="a search space is a dict of name: Range"):
        ct.tune(spectral(), *parts, n_trials=1, space=space)


def test_whole_ends_do_not_make_a_penalty_whole(parts):
    found = ct.tune(ct.BiasBaseline(reg=2.5), *parts, n_trials=4, space={"reg": ct.Range(1, 30, log=True)})
    tried = [trial.params["reg"] for trial in found.study.trials]
    assert tried[0] == 2.5
    assert all(value != round(value) for value in tried)
    ranks = ct.tune(sgd(), *parts, n_trials=4, space={"n_factors": ct.Range(1.0, 9.0)}).study.trials
    assert all(isinstance(trial.params["n_factors"], int) for trial in ranks)


@pytest.mark.parametrize("n_folds", [1, 3])
def test_without_patience_the_last_pass_is_scored_and_kept(parts, n_folds):
    ratings, n_epochs = parts[0].joined(parts[1]), 40
    model = sgd(patience=None, n_epochs=n_epochs, learning_rate=0.1)
    found = ct.tune(model, ratings, n_folds=n_folds, n_trials=1, space={"reg": ct.Range(0.01, 0.1)})
    assert found.model.n_epochs == found.model.best_epoch_ == n_epochs
    cuts = [ratings.split_random(0.2, 0)] if n_folds == 1 else ratings.split_folds(n_folds, 0)
    last = [ct.rmse(clone(model).fit(train, part), part) for train, part in cuts]
    best = [min(row["validation_rmse"] for row in clone(model).fit(train, part).history_) for train, part in cuts]
    assert np.mean(last) > np.mean(best) + 0.01
    assert found.study.best_value == pytest.approx(np.mean(last), abs=1e-12)


def missed(ranker, part):
    return -ct.ranking_metrics(ct.top_lists(ranker, part, n=3), part, threshold=6)["ndcg"].mean()


def test_a_tuned_ranker_still_ranks(parts):
    tuned_ranker = ct.Tuned(ct.ImplicitALS(n_factors=2), n_trials=1, n_folds=2, score=missed).fit(parts[0])
    assert tuned_ranker.score_name == "preference"
    assert "preference" in tuned_ranker.recommend(0, 2)
    with pytest.raises(ValueError, match="Tuned ranks: it gives a preference"):
        ct.rmse(tuned_ranker, parts[1])
    with pytest.raises(ValueError, match="candidates must all give the same kind of score"):
        ct.Tuned({"a": ct.ImplicitALS(2), "b": ct.BiasBaseline()}, n_trials=1, score=missed).fit(parts[0])


def test_a_candidate_without_settings_does_not_learn_from_the_part_that_scores_it(parts, monkeypatch):
    given = []
    monkeypatch.setattr(ct.Blend, "_fit", lambda self, ratings, validation=None: given.append(validation))
    mix = ct.Blend(ct.BiasBaseline(), ct.GlobalMean())
    with pytest.raises(AttributeError):  # nothing was fitted
        ct.Tuned({"mix": mix}, n_trials=1, n_folds=2).fit(parts[0])
    assert given == [None]
