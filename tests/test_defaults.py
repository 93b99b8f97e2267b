"""What is done where nothing is said, and what may be said: the measured defaults, and the bounds of every setting."""

import inspect

import numpy as np
import pytest

import content_table as ct

DESCENT = {"n_factors": 20, "reg": 0.02, "learning_rate": 0.01, "n_epochs": 200, "batch_size": 1, "decay": 0,
           "schedule": "constant", "clip": None, "patience": 5, "validation_size": 0.1, "init_scale": 0.01,
           "init": "random", "random_state": 0}  # fmt: skip
AS_THEY_COME = {  # the figures of benchmarks/defaults.py are theirs: who changes one measures anew
    ct.BiasBaseline: {"reg": 5, "solver": "direct"},
    ct.ItemKNN: {"n_neighbors": 40, "shrinkage": 100, "reg": 3, "damping": 0.3},
    ct.EASE: {"reg": 100, "liked": None, "binary": True, "dtype": "float64"},
    ct.GraphFilter: {"n_layers": 2, "n_factors": 0, "low_pass": 0.03, "popularity": 0, "liked": None, "binary": False},
    ct.ALS: {"n_factors": 20, "reg": None, "biases": False, "bias_reg": 5, "n_epochs": 500, "tol": 1e-6,
             "init": "random", "random_state": 0, "dtype": "float64", "n_jobs": 1, "weighted_reg": False,
             "solver": "cholesky"},
    ct.NMF: {"n_factors": 10, "reg": None, "biases": True, "bias_reg": 5, "n_epochs": 500, "tol": 1e-5,
             "init": "random", "random_state": 0, "n_jobs": 1},
    ct.ImplicitALS: {"n_factors": 20, "reg": None, "confidence": 1, "n_epochs": 50, "tol": 1e-4, "init": "random",
                     "random_state": 0, "dtype": "float64", "n_jobs": 1, "weighted_reg": False, "solver": "cholesky",
                     "liked": None, "binary": False},
    ct.BPR: {"n_factors": 20, "reg": 0.03, "learning_rate": 0.05, "n_epochs": 100, "liked": None, "init": "random",
             "random_state": 0},
    ct.DeepMF: {"n_factors": 16, "hidden": (32, 16), "dot_product": False, "n_negatives": 4, "reg": 3e-4,
                "learning_rate": 0.005, "batch_size": 64, "n_epochs": 20, "liked": None, "random_state": 0},
    ct.MultVAE: {"n_factors": 20, "n_hidden": 100, "beta": 0.2, "anneal": 20, "dropout": 0.5, "reg": 1,
                 "learning_rate": 5e-3, "batch_size": 100, "n_epochs": 100, "variational": True, "liked": None,
                 "binary": False, "random_state": 0},
    ct.GradientDescentMF: {"n_factors": 5, "reg": 5, "learning_rate": 1e-3, "n_epochs": 5000, "tol": 1e-6,
                           "init": "random", "random_state": 0},
    ct.SGDMF: DESCENT,
    ct.ContentMF: DESCENT | {"content_weight": 1, "shared_weights": True, "item_features": None, "user_features": None},
    ct.ContentOnly: {"item_features": None, "reg": 1},
    ct.BayesianFM: {"n_factors": 10, "n_sweeps": 300, "implicit": True, "context": (), "item_features": None,
                    "user_features": None, "burn_in": None, "n_kept": 50, "n_chains": 1, "random_state": 0},
    ct.SpectralRegularization: {"reg": None, "biases": False, "bias_reg": 5, "n_epochs": 3000, "tol": 1e-6,
                                "solver": "splitting"},
    ct.NuclearNorm: {"n_epochs": 20_000, "tol": 1e-6, "solver": "splitting"},
    ct.Hybrid: {"rating": None, "item_features": None, "likes_weight": 0.5, "content_weight": 0.5, "liked": 0.75,
                "reg": 100, "prefit": False},
    ct.Blend: {"first": None, "second": None, "weight": None, "prefit": False, "validation_size": 0.1,
               "random_state": 0},
    ct.Tuned: {"candidates": None, "n_trials": 20, "space": None, "score": "rmse", "threshold": None, "n": 10,
               "n_folds": 5, "validation_size": 0.2, "sampler": "tpe", "random_state": 0},
}  # fmt: skip
FUNCTIONS = {
    ct.evaluate: {"n_splits": 20, "test_size": 0.2, "random_state": 0, "n_jobs": 1, "minutes": None},
    ct.compare: {
        "n_splits": 20,
        "test_size": 0.2,
        "random_state": 0,
        "n_jobs": 1,
        "n": 10,
        "certify": True,
        "minutes": 10,
    },
    ct.tune: {
        "n_trials": 30,
        "threshold": None,
        "n": 10,
        "n_folds": 1,
        "validation_size": 0.2,
        "prune": True,
        "random_state": 0,
    },
    ct.select_model: {"n_jobs": 1, "clip": False},
    ct.rmse: {"clip": False},
    ct.mae: {"clip": False},
    ct.errors: {"clip": False},
    ct.split_interval: {"level": 0.95},
    ct.paired_differences: {"metric": "rmse_clipped", "larger_is_better": False},
    ct.summarize: {"metric": "rmse_clipped"},
    ct.rank_differences: {"n_boot": 2000, "random_state": 0, "level": 0.95},
    ct.rank_models: {"n": 10},
    ct.Belief.draw: {"n_draws": 1, "random_state": 0},
    ct.thompson: {"n_draws": 1000, "scale": 1.0, "random_state": 0},
    ct.cells_mean: {"n_cells": None},
    ct.top_lists: {"n": 10},
    ct.similar_titles: {"n": 10},
    ct.frequent_titles: {"n": 10},
    ct.tfidf_features: {"max_features": 5000},
    ct.Recommender.recommend: {"n": 10},
    ct.Recommender.recommend_all: {"n": 10, "also_seen": None, "one_per_work": None, "clip": False},
    ct.Recommender.predict: {"return_fallback": False},
    ct.Recommender.predict_cells: {"return_fallback": False},
    ct.Recommender.errors: {"clip": False},
    ct.Recommender.rmse: {"clip": False},
    ct.Recommender.mae: {"clip": False},
    ct.Recommender.save: {"with_ratings": True},
    ct.Recommender.fold_in: {"unknown": "error"},
    ct.write_lists: {"n": 10, "clip": True, "progress": False},
    ct.table_features: {"max_features": 5000, "decimal": "."},
    ct.Viewer.recommend: {"n": 10, "diversity": 0, "uncertainty": False},
    ct.NewTitle.audience: {"n": 10},
    ct.Ratings.find_titles: {"n": 10},
    ct.Ratings.split_random: {"test_size": 0.2, "random_state": 0},
    ct.Ratings.split_folds: {"n_folds": 5, "random_state": 0},
    ct.Ratings.split_user_time: {"train": 0.7, "validation": 0.15},
    ct.Ratings.split_global_time: {"train": 0.7, "validation": 0.15},
    ct.Ratings.split_leave_one_out: {"random_state": 0},
}
ABOVE_0 = {"learning_rate", "clip", "validation_size", "init_scale"}  # elsewhere 0 is a setting like others
HIGHEST = {ct.Hybrid: {"likes_weight": 1e6, "content_weight": 1e6}, ct.DeepMF: {"reg": 1e100}}
HIGHEST |= {ct.MultVAE: {"reg": 1e100, "beta": 1e100}}
REG_ABOVE_0 = {ct.NMF, ct.EASE, ct.Hybrid, ct.ImplicitALS, ct.ContentOnly, ct.SpectralRegularization}


@pytest.mark.parametrize("kind", AS_THEY_COME, ids=lambda kind: kind.__name__)
def test_a_model_comes_with_the_settings_it_was_measured_with(kind):
    assert kind().get_params(deep=False) == AS_THEY_COME[kind] | (
        {"progress": False} if "progress" in inspect.signature(kind).parameters else {}
    )


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__qualname__)
def test_a_function_does_what_it_says_where_nothing_is_said(function):
    given = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    assert {name: given[name] for name in FUNCTIONS[function]} == FUNCTIONS[function]


@pytest.mark.parametrize("kind", AS_THEY_COME, ids=lambda kind: kind.__name__)
def test_every_number_down_to_its_bound_may_be_set_and_none_beyond(kind):
    for name, declared in ct.declared_settings(kind).items():
        if declared.among or declared.switch:
            continue
        strict = name in ABOVE_0 or (name == "reg" and kind in REG_ABOVE_0)
        strict |= name == "bias_reg" and kind in (ct.SpectralRegularization, ct.NMF)
        whole = {"random_state": 0, "n_jobs": -1, "burn_in": 0, "anneal": 0} | (
            {"n_factors": 0} if kind in (ct.BayesianFM, ct.GraphFilter) else {}
        )
        lowest, step = (whole.get(name, 1), 1) if declared.whole else (0.0, 1e-9)
        declared.check(name, lowest + step)
        refused = [lowest - step] + [lowest] * strict
        if not strict:
            declared.check(name, lowest)
        if highest := ({"n_layers": 100, "n_negatives": 10_000} | HIGHEST.get(kind, {})).get(name):
            declared.check(name, highest)
            refused.append(highest * 2)
        elif name in ("weight", "validation_size", "liked", "popularity", "dropout"):  # shares
            declared.check(name, 1 - 1e-9)
            refused += [1 + 1e-9] + [1.0] * (name in ("validation_size", "dropout"))
        else:
            declared.check(name, 10**9)
        for value in [*refused, np.nan, np.inf]:
            with pytest.raises(ValueError, match=f"{name} must be"):
                declared.check(name, value)


def test_the_whole_of_a_blend_may_be_either_model():
    for weight in (0.0, 1.0):
        ct.Blend(weight=weight).check_settings()
