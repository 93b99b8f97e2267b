"""Wrong arguments, all of them: every argument of every public call gets a value of every sort.

A call succeeds only with what is right for its argument, and refuses the rest by an error that we raised: it names the
argument and says what came. What is right is said by kind of argument; most arguments have their kind by their name.
"""

import dis
import inspect
import re
import warnings
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import ABOUT_ITEMS, ABOUT_USERS, TYPED
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import content_table as ct

OURS = (str(Path(ct.__file__)), str(Path(ct.__file__).parent / "content_table_parts"))
ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    FileNotFoundError,
    IsADirectoryError,
    MemoryError,
    NotFittedError,
    ct.DivergenceError,
    ct.SparkError,
)
NO = np.nan

# ---- Values of every sort --------------------------------------------------------------------------------------------


@cache
def world():
    """What the calls are made with: small tables, fitted models, and the results of measuring them."""
    rows, cols = np.nonzero(~np.isnan(TYPED))
    names = {"titles": ["Apple", "Bear", "Cat", "Dog", "Elk"], "user_names": ["ann", "bob", "cy", "dee", "eve", "fay"]}
    users, items = [101, 102, 103, 104, 105, 106], [11, 12, 13, 14, 15]
    table = ct.Ratings(users, items, rows, cols, TYPED[rows, cols], times=np.arange(len(rows))[::-1], **names)
    train, test = table.split_random(0.3)
    als = ct.ALS(2, biases=True).fit(train)
    content = ct.ContentMF(ABOUT_ITEMS, n_factors=2, n_epochs=5, patience=None).fit(train)
    bayes = ct.BayesianFM(2, 6, n_kept=2).fit(train)
    models = {"ALS": ct.ALS(2, biases=True), "mean": ct.GlobalMean()}
    fitted = {name: clone(model).fit(train) for name, model in models.items()}
    P, Q = als.user_factors_, als.item_factors_
    found = {"evaluated": ct.evaluate(models, table, n_splits=2), "compared": ct.compare(models, table, 5, n_splits=2)}
    found |= {"ranked": ct.rank_models(fitted, test, 5, 2), "lists": ct.top_lists(als, test, 2)}
    found |= {"viewer": als.viewer(101), "newcomer": als.fold_in({11: 8, 12: 3})}
    found |= {"new_title": als.fold_in_item({101: 8, 102: 3}), "described": content.viewer(101)}
    return SimpleNamespace(**locals(), **found)


@cache
def values():
    """A value of every sort, by what it is called below."""
    things = {
        "None": None,
        "text": "no such thing",
        "empty text": "",
        "True": True,
        "object": object(),
        "class": ct.ALS,
    }
    things |= {"-1": -1, "0": 0, "0.5": 0.5, "NaN": NO, "inf": np.inf, "10**30": 10**30, "complex": 1j}
    things |= {"[]": [], "{}": {}, "dict": {"no such thing": object()}, "ragged": [[1, 2], [3]], "texts": ["no such"]}
    things |= {"array of objects": np.array([object(), None]), "array (2, 2, 2)": np.ones((2, 2, 2))}
    things |= {"array of NaN": np.array([NO, NO]), "array of halves": np.array([0.5, 1.5])}
    things |= {"array beyond": np.array([99, 0]), "array below": np.array([-1, -99])}
    things |= {"frame": pd.DataFrame({"no such": [1, 2]}), "ratings": ct.Ratings.from_matrix([[5, 3], [4, NO]])}
    return things | {"unfitted model": ct.ALS(2), "fitted model": world().fitted["mean"], "features": ABOUT_USERS}


# ---- Kinds of arguments ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """Which values are right for an argument, what else it is called, and which would start what nobody waits for."""

    right: frozenset = frozenset()
    called: tuple = ()
    never: frozenset = frozenset()

    def named(self, *called):
        """The same kind, called otherwise too."""
        return replace(self, called=self.called + called)

    def also(self, *right):
        """The same kind, where more is right."""
        return replace(self, right=self.right | set(right))


def kind(*right, called=(), never=()):
    return Kind(frozenset(right), tuple(called), frozenset(never))


ANYTHING = lambda: kind(*values())  # noqa: E731
NOTHING = kind()  # a choice among names, a whole number from 1
WHOLE = kind("0")
SEED = kind("0")
ANY_SEED = kind("None", "0", "True", "10**30", "[]", "ragged", "array beyond")  # whatever NumPy's default_rng takes
NUMBER = kind("-1", "0", "0.5", "10**30")
NOT_BELOW_0 = kind("0", "0.5", "10**30")
ABOVE_0 = kind("0.5", "10**30")
SHARE = kind("0.5")
SWITCH = kind("True")
TEXT = kind("text", "empty text")
FILE = kind(called=["no such", "such thing", "CSV", "holds", "model at", "is no", "is not"])
TARGET = kind("text", called=["is a folder"])
RATINGS = kind(called=["Ratings"])
PARTS = kind("None", called=["Ratings"])
MODEL = kind("fitted model")
FEATURES = kind("None")
USER_IDS = kind("[]", called=["user id", "users"])
ITEM_IDS = kind("[]", called=["item id", "items"])
ONE_USER = kind(called=["user id", "one user", "a user", "users", "no user has"])
ONE_ITEM = kind(called=["item id", "an item", "items", "no title", "could be any"])
LABELS = kind("texts", "array of halves", "array beyond", "array below")
POSITIONS = kind("[]")
POINTS = kind(called=["rating", "no title", "no user"])
SIZES = ["entries", "positions"]  # of two arrays that do not fit each other either may be named
ARRAY = kind("array of halves", "array beyond", "array below")
JOBS = kind("True", never=["-1", "10**30"])  # that many processes
THREADS = kind("-1", "10**30")  # no more than there are blocks of rows
RESULTS = kind(called=["results"])
SCALE = kind()
SPACE = kind("None", called=["search space"])

BY_NAME = [
    (NOTHING, "n n_splits n_trials n_folds n_boot n_components n_factors n_epochs n_neighbors max_features batch_size"),
    (NOTHING, "n_sweeps n_kept n_chains n_draws n_layers n_negatives n_hidden"),
    (NOTHING, "patience about by conflicts protocol sampler refit schedule solver init metric reference use dtype"),
    (NOTHING, "repeats unknown sep decimal encoding"),
    (WHOLE, "min_per_user min_per_item row anneal"),
    (WHOLE.also("None"), "burn_in"),
    (SHARE.also("None"), "interval"),
    (SEED, "random_state"),
    (NUMBER, "threshold low high primal dual"),
    (NOT_BELOW_0, "reg bias_reg tol shrinkage damping confidence decay diversity content_weight nuclear_norm low_pass"),
    (NOT_BELOW_0, "beta"),
    (ABOVE_0, "learning_rate init_scale n_train n_test time"),
    (SHARE, "test_size validation_size level weight"),
    (
        SWITCH,
        "progress return_fallback keep_no_genres prune larger_is_better uncertainty of_a_rating log whole strict "
        "with_ratings has_seasons certify proven prefit biases shared_weights clip rescale weighted_reg binary "
        "implicit dot_product variational",
    ),
    (SWITCH.also("None"), "one_per_work"),
    (TEXT, "unit what"),
    (FILE, "path"),
    (RATINGS, "ratings test train other"),
    (PARTS, "validation also_seen tags_until like"),
    (MODEL, "model"),
    (kind(), "models candidates"),
    (FEATURES, "features genres similarity"),
    (kind(called=["has features"]), "item_features"),
    (FEATURES.also("features"), "user_features"),
    (USER_IDS, "users"),
    (ITEM_IDS, "items ids item_ids"),
    (ONE_USER, "user viewer"),
    (ONE_ITEM, "item title"),
    (POSITIONS, "rows cols at"),
    (JOBS, "n_jobs"),
    (ABOVE_0.also("None"), "minutes"),
    (RESULTS, "results"),
    (kind("None", "[]", called=["splits"]), "splits"),
    (SCALE.also("None"), "scale"),
    (SPACE, "space"),
    (kind("None", "class"), "watch"),
]
KINDS = {name: each for each, names in BY_NAME for name in names.split()}


# ---- A valid call of everything public -------------------------------------------------------------------------------

RECORDS = {
    "Certificate",
    "DivergenceError",
    "SparkError",
    "Fold",
    "OwnList",
    "Tuning",
}  # made by us, to hold what was found
ELSEWHERE = {"batch_epoch", "predict_pairs", "sgd_epoch", "solve_rows"}  # test_doors
ELSEWHERE |= {"main", "fetch", "fit_parquet"}  # test_command_line, test_fetching, test_spark
QUICK = {"n_factors": 2, "n_epochs": 3, "tol": 0.0}


def model_calls():
    """A constructor and a fit for every class of models; settings are checked there."""
    about = {"item_features": ABOUT_ITEMS}
    descent = {"n_factors": 2, "n_epochs": 3, "patience": 2, "validation_size": 0.3}
    given = {
        ct.BiasBaseline: {},
        ct.ItemKNN: {},
        ct.EASE: {},
        ct.GraphFilter: {"n_factors": 2},
        ct.ALS: QUICK | {"biases": True},
        ct.NMF: QUICK,
        ct.ImplicitALS: QUICK,
        ct.BPR: {"n_factors": 2, "n_epochs": 3},
        ct.DeepMF: {"n_factors": 2, "n_epochs": 3, "hidden": (3,)},
        ct.MultVAE: {"n_factors": 2, "n_hidden": 3, "n_epochs": 3},
        ct.GradientDescentMF: QUICK,
        ct.SGDMF: descent,
        ct.ContentMF: about | {"user_features": ABOUT_USERS} | descent,
        ct.ContentOnly: about,
        ct.BayesianFM: about | {"user_features": ABOUT_USERS, "n_factors": 2, "n_sweeps": 4, "burn_in": 1, "n_kept": 2},
        ct.SpectralRegularization: {"biases": True, "n_epochs": 20},
        ct.NuclearNorm: {"n_epochs": 20},
        ct.Blend: {"first": ct.GlobalMean(), "second": ct.BiasBaseline(), "validation_size": 0.3},
        ct.Hybrid: about | {"rating": ct.BiasBaseline()},
        ct.Tuned: {"candidates": ct.BiasBaseline(), "n_trials": 2, "n_folds": 2},
    }
    optional = {name: KINDS[name].also("None") for name in ("reg", "weight", "patience", "batch_size")}
    optional["clip"] = ABOVE_0.also("None")
    own = {
        ct.ALS: {"reg": optional["reg"], "n_jobs": THREADS},
        ct.NMF: {"reg": ABOVE_0.also("None"), "bias_reg": ABOVE_0, "n_jobs": THREADS},
        ct.SpectralRegularization: {"reg": ABOVE_0.also("None"), "bias_reg": ABOVE_0},
        ct.EASE: {"reg": ABOVE_0, "liked": SHARE.also("0", "True", "None")},
        ct.ImplicitALS: {"reg": ABOVE_0.also("None"), "n_jobs": THREADS, "liked": SHARE.also("0", "True", "None")},
        ct.GraphFilter: {"n_factors": WHOLE, "popularity": kind("0", "0.5"), "liked": SHARE.also("0", "True", "None")},
        ct.BPR: {"liked": SHARE.also("0", "True", "None")},
        ct.DeepMF: {"liked": SHARE.also("0", "True", "None"), "hidden": kind("[]", "()")},
        ct.MultVAE: {"liked": SHARE.also("0", "True", "None"), "dropout": SHARE.also("0")},
        ct.ContentOnly: {"reg": ABOVE_0},
        ct.Blend: {"first": kind("fitted model", "unfitted model"), "second": kind("fitted model", "unfitted model")}
        | {"weight": optional["weight"].also("0", "True")},
        ct.Hybrid: {
            "rating": kind("fitted model", "unfitted model"),
            "item_features": KINDS["item_features"].also("None"),
            "reg": ABOVE_0,
        }
        | {"likes_weight": NOT_BELOW_0, "liked": SHARE.also("0", "True")},
        ct.Tuned: {
            "candidates": kind("fitted model", "unfitted model"),
            "score": kind("class"),
            "threshold": kind("None"),
            "space": SPACE.also("{}"),
        },
    }
    bayes = {"n_factors": WHOLE, "context": kind("[]", "{}"), "item_features": KINDS["item_features"].also("None")}
    own[ct.BayesianFM] = bayes
    own[ct.SGDMF] = own[ct.ContentMF] = {name: optional[name] for name in ("clip", "patience", "batch_size")}
    for model, valid in given.items():
        yield (
            model.__name__,
            (lambda model=model, **settings: model(**settings).fit(world().table)),
            valid,
            own.get(model, {}),
        )


def recommender_calls():
    """The methods that all models share."""
    w = world()
    cells = {"rows": np.array([0, 1]), "cols": np.array([1, 2])}
    yield "Recommender.fit", lambda **k: clone(w.als).fit(**k), {"ratings": w.train, "validation": w.test}, {}
    for name in ("errors", "rmse", "mae"):
        yield f"Recommender.{name}", getattr(w.als, name), {"ratings": w.test}, {}
        yield name, getattr(ct, name), {"model": w.als, "ratings": w.test}, {}
    ranking = "EASE", "GraphFilter", "ImplicitALS", "BPR", "DeepMF", "MultVAE", "Hybrid"
    for name in ("Recommender", "FactorModel", *ranking):
        yield f"{name}.in_use", w.als.in_use, {"name": "reg"}, {"name": NOTHING}
    yield "Recommender.predict", w.als.predict, {"users": [101, 102], "items": [11, 12]}, {}
    yield "Recommender.predict_cells", w.als.predict_cells, cells, {}
    yield "Recommender.predict_rows", w.als.predict_rows, {"rows": np.array([0, 1])}, {}
    yield "Recommender.recommend", w.als.recommend, {"user": 101}, {}
    yield "Recommender.recommend_all", w.als.recommend_all, {"n": 2}, {}
    yield "Recommender.top_items", w.als.top_items, {"rows": np.array([0, 1]), "n": 2}, {"works": kind("None")}
    yield "Recommender.fold_in", w.als.fold_in, {"ratings": {11: 8}}, {"ratings": POINTS.also("{}")}
    about = {"ratings": {101: 8}, "features": {"sad": 1.0}}
    yield (
        "Recommender.fold_in_item",
        w.content.fold_in_item,
        about,
        {"ratings": POINTS.also("{}"), "features": kind("None", "{}")},
    )
    yield "Recommender.viewer", w.als.viewer, {"user": 101}, {}
    own = {"viewer": kind(), "user": kind("-1", "0"), "name": TEXT.also("None")}
    yield "Recommender.add", w.als.add, {"viewer": w.newcomer, "user": 999}, own
    own = {"ratings": RATINGS.also("ratings").named("no column is known")}
    yield "Recommender.update", w.als.update, {"ratings": w.test}, own
    for name in ("Recommender", "Tuned"):
        yield f"{name}.save", w.als.save, {"path": "saved.npz"}, {"path": TARGET}
    factors = {"P": w.als.user_factors_, "Q": w.als.item_factors_}
    for name in ("gradient", "objective"):
        call = getattr(ct.GradientDescentMF(2).fit(w.train), name)
        yield f"GradientDescentMF.{name}", call, {"ratings": w.train} | factors, {"P": kind(), "Q": kind()}
    pairs, own = {"users": [101, 102], "items": [11, 12]}, {"context": kind("None", "{}")}
    yield "BayesianFM.in_use", w.bayes.in_use, {"name": "burn_in"}, {"name": NOTHING}
    yield "BayesianFM.predict", w.bayes.predict, pairs | {"interval": 0.8, "context": {}}, own
    yield "BayesianFM.rating_probabilities", w.bayes.rating_probabilities, pairs | {"context": {}}, own
    yield "BayesianFM.log_score", w.bayes.log_score, {"ratings": w.test}, {}
    yield "BayesianFM.diagnostics", w.bayes.diagnostics, pairs, {}
    for model in ("ContentMF", "ContentOnly"):
        yield f"{model}.taste", w.content.taste, {"user": 101}, {}


def ratings_calls():
    """The table and its methods, of whoever made it."""
    w = world()
    t, cells = w.table, {"rows": [0, 1, 1], "cols": [0, 0, 1], "values": [5, 6, 7]}
    given = {
        "user_ids": ["a", "b"],
        "item_ids": [1, 2],
        "times": [1, 2, 3],
        "titles": ["x", "y"],
        "user_names": ["u", "v"],
        "context": {"week": [1, 2, 2]},
    }
    optional = kind("None")
    own = {
        "rows": kind(),
        "cols": kind(),
        "values": kind(called=SIZES),
        "user_ids": LABELS.named(*SIZES),
        "item_ids": LABELS.named(*SIZES),
        "times": optional,
        "context": kind("{}"),
    }
    labels = LABELS.also("None", "array of objects", "array of NaN")
    own |= {"titles": labels, "user_names": labels, "dropped": kind("{}", "dict"), "notes": kind("[]", "{}", "texts")}
    yield "Ratings", ct.Ratings, given | cells, own
    frame = {"frame": t.frame(), "user": "user_id", "item": "item_id", "rating": "rating"}
    column = kind("None", "empty text", called=["column"])
    own = {name: kind(called=["column"]) for name in ("user", "item", "rating")} | {
        "frame": kind(called=["from_frame needs", "the table"])
    }
    yield (
        "Ratings.from_frame",
        ct.Ratings.from_frame,
        frame,
        own | dict.fromkeys(("time", "title", "name"), column) | {"context": kind("[]", "{}", called=["column"])},
    )
    yield (
        "Ratings.from_matrix",
        ct.Ratings.from_matrix,
        {"matrix": TYPED},
        {"matrix": kind("frame", called=["from_matrix needs"])},
    )
    yield (
        "Ratings.check_universe",
        t.check_universe,
        {"other": w.test, "name": "test"},
        {"name": TEXT, "other": kind(called=["test"])},
    )
    yield (
        "Ratings.checked_pairs",
        t.checked_pairs,
        {"given": {11: 8}},
        {"given": POINTS.also("{}"), "axis": kind("0", "True")},
    )
    yield "Ratings.filter_once", t.filter_once, {"min_per_user": 1, "min_per_item": 1}, {}
    yield "Ratings.find_titles", t.find_titles, {"text": "bear"}, {"text": TEXT}
    for name in ("item_cols", "user_rows", "without_items", "item_id", "user_id", "user_row", "title"):
        (argument,) = inspect.signature(getattr(t, name)).parameters
        one = ONE_USER if "user" in name else ONE_ITEM
        yield (
            f"Ratings.{name}",
            getattr(t, name),
            {argument: 101 if "user" in name else 11},
            {} if argument != "name" else {"name": one},
        )
    yield "Ratings.joined", w.train.joined, {"other": w.test}, {}
    yield "Ratings.same_universe", t.same_universe, {"other": w.test}, {"other": RATINGS.also("ratings")}
    yield "Ratings.part", t.part, {"entries": [0, 1]}, {"entries": POSITIONS}
    yield "Ratings.named", t.named, {"cols": [0, 1]}, {"cols": POSITIONS}
    masks = {"keep_users": np.ones(6, bool), "keep_items": np.ones(5, bool)}
    yield "Ratings.restrict", t.restrict, masks, dict.fromkeys(masks, kind())
    yield "Ratings.split_folds", t.split_folds, {}, {"random_state": ANY_SEED}
    for name in ("split_user_time", "split_global_time"):
        yield f"Ratings.{name}", getattr(t, name), {}, dict.fromkeys(("train", "validation"), SHARE)
    yield "Ratings.split_leave_one_out", t.split_leave_one_out, {}, {"random_state": ANY_SEED}
    yield "Ratings.split_random", t.split_random, {}, {"random_state": ANY_SEED}
    yield "Ratings.to_csv", t.to_csv, {"path": "table.csv"}, {"path": TARGET}
    yield "Ratings.updated", t.updated, {"newer": w.test}, {"newer": RATINGS.also("ratings")}
    yield "Ratings.within", t.within, {"other": w.test}, {"other": RATINGS.named("other")}
    yield "Ratings.known_pairs", t.known_pairs, {"given": {11: 8}}, {"given": POINTS.also("{}", "dict", "frame")}
    yield "Ratings.works", t.works, {}, {}
    yield "Ratings.seasons", t.seasons, {"works": np.array([0, 0, 1, 2, 3])}, {"works": kind()}


def file_calls():
    """What is read and written."""
    w = world()
    sample = ct.load_ratings(ct.DATA / "100x100.csv")
    some = RATINGS.also("ratings")
    yield "load_ratings", ct.load_ratings, {"path": ct.DATA / "100x100.csv"}, {}
    yield (
        "load_mal_export",
        ct.load_mal_export,
        {"path": ct.DATA / "animelist.xml", "ratings": sample},
        {"ratings": PARTS.also("ratings")},
    )
    yield (
        "load_export",
        ct.load_export,
        {"path": ct.DATA / "animelist.xml", "ratings": sample},
        {"ratings": PARTS.also("ratings"), "path": FILE.named("holds neither")},
    )
    column = kind("None", called=["column"])
    own = dict.fromkeys(("user", "item", "rating"), column) | {"table": FILE.named("a DataFrame")}
    own |= {"like": RATINGS.also("None"), "sep": kind("None"), "title": column, "time": column}
    yield "load_table", ct.load_table, {"table": w.table.frame()}, own
    catalogue = {"path": ct.DATA / "catalogue.csv", "ratings": sample}
    yield (
        "item_texts",
        ct.item_texts,
        catalogue | {"use": ("genres",)},
        {"ratings": some, "tags_until": PARTS.also("ratings")},
    )
    yield "load_features", ct.load_features, catalogue | {"use": ("genres",)}, {"ratings": some}
    yield "load_genres", ct.load_genres, catalogue, {"ratings": some}
    yield "load_profiles", ct.load_profiles, {"path": ct.DATA / "raw", "ratings": sample}, {}
    yield (
        "load_model",
        ct.load_model,
        {"path": ct.WEIGHTS / next(iter(sorted(ct.WEIGHTS.glob("*.npz")))).name},
        {"ratings": PARTS},
    )
    yield "save_model", ct.save_model, {"model": w.als, "path": "saved.npz"}, {"path": TARGET}
    yield "write_lists", ct.write_lists, {"model": w.als, "path": "lists.csv"}, {"path": kind()}
    yield (
        "write_whole",
        ct.write_whole,
        {"path": "x.txt", "write": lambda path: path.write_text("x")},
        {"path": TARGET, "write": kind()},
    )


def feature_calls():
    """Features, titles and newcomers."""
    w = world()
    given = {"ids": [1, 2], "matrix": [[1, 0], [0, 2]], "names": ["a", "b"], "about": "items"}
    about = NOTHING.also("empty text")
    own = {"ids": LABELS, "matrix": kind(), "names": LABELS, "about": about, "notes": kind("[]", "texts")}
    yield "Features", ct.Features, given, own
    goods = pd.DataFrame({"sku": [11, 12], "kind": ["tea", "oil"], "price": [2, 3], "about": ["green tea", "hot oil"]})
    goods = {"table": goods, "ratings": w.table, "numbers": ["price"], "texts": ["about"], "lists": {"kind": "|"}}
    own = dict.fromkeys(("categories", "numbers", "texts"), kind("[]")) | {"lists": kind("None", "{}")}
    own |= {"table": FILE.named("a DataFrame"), "item": kind("None", called=["column"]), "sep": kind("None")}
    yield "table_features", ct.table_features, goods, own
    yield "Features.rows_for", ABOUT_ITEMS.rows_for, {"ids": [11, 12]}, {"ids": kind()}
    yield "Features.reduced", ABOUT_ITEMS.reduced, {"n_components": 2}, {}
    texts = {"ids": [1, 2], "texts": ["quiet drama", "loud comedy"]}
    yield "tfidf_features", ct.tfidf_features, texts, {"ids": LABELS, "texts": kind(), "about": about}
    yield (
        "similar_titles",
        ct.similar_titles,
        {"ratings": w.train, "features": w.als, "item": 11},
        {"features": kind(called=["item factors"])},
    )
    yield "plain_title", ct.plain_title, {"title": "Bear"}, {"title": ANYTHING()}
    yield "series_of", ct.series_of, {"titles": ["Bear", "Bear 2"]}, {"titles": kind("texts", "[]")}
    seasons = {"titles": ["Bear", "Bear 2"], "ids": [7, 9], "works": [0, 0]}
    labels = {"titles": kind("texts")} | dict.fromkeys(("ids", "works"), LABELS.also("None"))
    yield "season_order", ct.season_order, seasons, labels
    yield "frequent_titles", ct.frequent_titles, {"models": w.fitted}, {}
    yield "course_models", ct.course_models, {}, {"item_features": FEATURES.also("features")}
    few = NOTHING.also("None", "0")
    yield "explain", ct.explain, {"model": w.als, "viewer": 101, "title": 11}, {"n": few}
    made = {"model": w.als, "at": np.array([0, 1]), "values": np.array([8.0, 3.0])}
    for made_by in (ct.Viewer, ct.NewTitle):
        own = {
            "at": POSITIONS.named(*SIZES),
            "values": ARRAY,
            "row": WHOLE.also("None"),
            "features": kind("None", "{}"),
        }
        yield made_by.__name__, made_by, made, own
    other = {"Viewer": (w.newcomer, "ids", 11, ONE_ITEM), "NewTitle": (w.new_title, "ids", 101, ONE_USER)}
    for name, (seen, ids, one, asked) in other.items():
        yield f"{name}.predict", seen.predict, {ids: one}, {ids: asked.also("[]"), "interval": kind("None")}
        yield f"{name}.uncertainty", seen.uncertainty, {ids: one}, {ids: asked.also("[]")}
        yield f"{name}.explain", seen.explain, {"other": one}, {"other": asked, "n": few}
    yield "Viewer.terms", w.described.terms, {"item": 11}, {"n": few}
    nmf = ct.NMF(2, 1).fit(w.train)
    yield "Viewer.parts", nmf.viewer(101).parts, {"item": 11}, {"n": few}
    yield "NMF.titles_of_parts", nmf.titles_of_parts, {}, {}
    leave = kind("[]", "{}", called=["no title", "item id", "an item"])
    own = {
        "exclude": leave,
        "exclude_genres": leave.named("genres").also("None", "0", "empty text"),
        "similarity": FEATURES.named("has features"),
        "genres": FEATURES,
    }
    options = {"exclude_genres": ["sad"], "genres": ABOUT_ITEMS, "similarity": ABOUT_ITEMS, "diversity": 1.0}
    yield "Viewer.recommend", w.viewer.recommend, options, own
    yield "NewTitle.audience", w.new_title.audience, {}, {}
    block = {
        "offset": np.zeros(3),
        "blocks": (np.ones((3, 1)),),
        "penalty": [1.0],
        "at": np.array([0, 1]),
        "values": np.array([1.0, 2.0]),
    }
    own = dict.fromkeys(block, kind(called=SIZES)) | {"values": ARRAY.named(*SIZES)}
    yield "ridge_fold", ct.ridge_fold, block, own
    yield "stopped_fold", ct.stopped_fold, block | {"time": 1.0}, own | {"time": NOT_BELOW_0}
    yield "Fold.rows", w.newcomer.fold.rows, {"at": [0, 1]}, {"at": POSITIONS}


def setting_calls():
    """Settings, and the records that hold what was found."""
    yield "Range", ct.Range, {"low": 1, "high": 9}, {"high": NUMBER.named("low"), "low": NUMBER.named("high")}
    trial = SimpleNamespace(
        suggest_float=lambda name, low, high, log: low, suggest_int=lambda name, low, high, log: low
    )
    yield "Range.suggest", ct.Range(1, 9).suggest, {"trial": trial, "name": "x"}, {"trial": kind(), "name": TEXT}
    bounds = dict.fromkeys(("low", "above"), NUMBER.also("None"))
    own = {
        "default": ANYTHING(),
        "high": NUMBER.also("inf"),
        "below": NUMBER.also("inf"),
        "among": kind("[]", "texts"),
        "needs": TEXT,
    }
    yield "setting", ct.setting, {"default": 1.0}, bounds | own | {"search": kind("None")}
    yield "declared_settings", ct.declared_settings, {"kind": ct.ALS}, {"kind": kind("class")}
    yield (
        "check_number",
        ct.check_number,
        {"name": "x", "value": 1.0},
        {"name": ANYTHING(), "value": NOT_BELOW_0.named("x"), "low": NUMBER.also("inf")},
    )
    yield "check_memory", ct.check_memory, {"shape": (2, 3), "what": "this"}, {"shape": kind("[]")}


def study_calls():
    """Measuring."""
    w = world()
    splits = {"models": {"mean": ct.GlobalMean()}, "ratings": w.table, "n_splits": 2}
    other = {"ratings": RATINGS.also("ratings")}
    yield "evaluate", ct.evaluate, splits, other
    yield "compare", ct.compare, splits | {"threshold": 5}, other
    yield "comparison", ct.comparison, {"results": w.compared}, {}
    yield "summarize", ct.summarize, {"results": w.evaluated}, {}
    yield "paired_differences", ct.paired_differences, {"results": w.evaluated, "reference": "mean"}, {}
    numbers = {"values": [1.0, 2.0, 3.0], "n_train": 80, "n_test": 20}
    yield (
        "split_interval",
        ct.split_interval,
        numbers,
        {"values": kind("[]", "array of halves", "array beyond", "array below", "array of NaN")},
    )
    parts = {"train": w.train, "validation": w.test}
    yield "select_model", ct.select_model, {"candidates": [ct.GlobalMean()]} | parts, {"validation": RATINGS}
    tuned = {"model": ct.BiasBaseline(), "ratings": w.table, "n_trials": 2}
    own = {
        "model": MODEL.also("unfitted model"),
        "score": kind("class"),
        "threshold": kind("None"),
        "storage": TARGET.also("None"),
        "ratings": RATINGS.also("ratings"),
    }
    yield "tune", ct.tune, tuned, own
    lists = {"model": w.als, "test": w.test, "n": 2}
    yield "top_lists", ct.top_lists, lists, {}
    yield (
        "ranking_metrics",
        ct.ranking_metrics,
        {"lists": w.lists, "test": w.test, "threshold": 5},
        {"lists": kind(), "test": RATINGS.named(*SIZES)},
    )
    yield "rank_models", ct.rank_models, {"models": w.fitted, "test": w.test, "threshold": 5, "n": 2}, {}
    yield "rank_summary", ct.rank_summary, {"results": w.ranked}, {"normalised": kind("[]")}
    yield "rank_differences", ct.rank_differences, {"results": w.ranked, "reference": "mean", "n_boot": 10}, {}
    yield (
        "list_metrics",
        ct.list_metrics,
        {"lists": w.lists, "train": w.train, "features": ABOUT_ITEMS},
        {"lists": kind("frame"), "train": RATINGS.named(*SIZES), "features": FEATURES.named("has features")},
    )


def algebra_calls():
    """Linear algebra: arrays in, arrays out."""
    w = world()
    rows, cols, values = w.train.rows, w.train.cols, w.train.values
    shape, residual = w.train.shape, values - values.mean()
    where = {"rows": rows, "cols": cols}
    arrays = {"rows": kind(called=SIZES), "cols": kind(called=SIZES), "shape": kind()}
    biases = {"user_bias": np.zeros(6), "item_bias": np.zeros(5)}
    fitting = ("deviations", "user_bias", "item_bias", "target", "residual", "multipliers", "X")
    own = arrays | dict.fromkeys(fitting, kind(called=SIZES))
    yield (
        "bias_certificate",
        ct.bias_certificate,
        where | {"deviations": residual, "reg": 1.0} | biases,
        own | {"reg": ABOVE_0},
    )
    bound = where | {"target": values, "residual": residual, "shape": shape, "reg": 1.0, "nuclear_norm": 0.0}
    bound |= {"biases": (np.zeros(6), np.zeros(5)), "bias_reg": 1.0, "scales": (np.ones(6), np.ones(5))}
    own |= {"biases": kind("None"), "scales": kind("None"), "reg": ABOVE_0, "bias_reg": ABOVE_0}
    yield "spectral_certificate", ct.spectral_certificate, bound, own | {"tol": KINDS["tol"].also("None")}
    yield (
        "nuclear_certificate",
        ct.nuclear_certificate,
        where | {"target": values, "multipliers": residual, "X": np.ones(shape)},
        own,
    )
    yield "spectral_norm_bound", ct.spectral_norm_bound, {"S": w.train.csr}, {"S": kind()}
    factors = {"P": w.als.user_factors_, "Q": w.als.item_factors_}
    yield "pair_dots", ct.pair_dots, factors | where, dict.fromkeys((*factors, *where), kind())
    yield "squared_loss", ct.squared_loss, {"residual": residual}, {"residual": ARRAY.also("[]")}
    yield "bias_solver", ct.bias_solver, where | {"shape": shape, "reg": 1.0}, arrays
    yield (
        "shrink_singular_values",
        ct.shrink_singular_values,
        {"A": np.ones((3, 2)), "threshold": 0.1},
        {"A": kind("frame"), "threshold": NOT_BELOW_0},
    )
    own = {"table": kind(), "other": kind(), "reg": NOT_BELOW_0.also("array of halves")}  # one for each factor
    yield "ridge_rows", ct.ridge_rows, {"table": w.train.csr, "other": w.als.item_factors_, "reg": 1.0}, own
    own = {"scores": kind("[]", "array of NaN", "array of halves", "array beyond", "array below")}
    yield "best_positions", ct.best_positions, {"scores": np.array([1.0, 3.0, 2.0]), "n": 2}, own


def policy_calls():
    """Beliefs, policies, and what they are worth."""
    w, sure = world(), ct.Belief([[6.0, 8.0], [7.0, 5.0]])
    given = {
        "means": np.ones((2, 2)),
        "roots": np.ones((1, 2, 1)),
        "variances": np.ones((2, 2)),
        "unseen": [True, False],
    }
    own = {
        "means": kind(called=["roots"]),
        "roots": kind("None", "array (2, 2, 2)"),
        "variances": kind("None"),
        "unseen": kind("None"),
    }
    yield "Belief", ct.Belief, given, own
    yield "Belief.of", ct.Belief.of, {"viewer": w.viewer}, {"viewer": kind()}
    after = {
        "Z": np.eye(2),
        "penalty": [1.0, 2.0],
        "at": np.array([0, 1]),
        "values": np.array([6.0, 7.0]),
        "noise": 1.0,
    }
    own = {"Z": kind(called=SIZES), "penalty": kind("array of halves"), "at": kind(called=SIZES)}
    own |= {"values": ARRAY.named(*SIZES), "noise": ABOVE_0, "offset": ARRAY.also("None")}
    yield "Belief.ridge", ct.Belief.ridge, after, own
    yield "Belief.without", sure.without, {"at": [0]}, {}
    yield "Belief.draw", sure.draw, {"n_draws": 2}, {"random_state": ANY_SEED}
    belief = {"belief": kind()}
    yield "epsilon_greedy", ct.epsilon_greedy, {"belief": sure, "epsilon": 0.1}, belief | {"epsilon": SHARE.also("0")}
    yield "ucb", ct.ucb, {"belief": sure, "alpha": 1.0}, belief | {"alpha": NOT_BELOW_0}
    own = belief | {"scale": NOT_BELOW_0, "random_state": ANY_SEED}
    yield "thompson", ct.thompson, {"belief": sure, "n_draws": 3}, own
    chances = {"probabilities": kind(), "random_state": ANY_SEED}
    yield "choose", ct.choose, {"probabilities": [0.5, 0.5], "random_state": 0}, chances
    shown = {"rows": [0, 1], "cols": [1, 0], "rewards": [6.0, 7.0], "propensities": [0.5, 0.5]}
    entries = kind("array beyond", called=SIZES)
    own = {"rows": entries, "cols": entries, "rewards": ARRAY, "propensities": kind()}
    yield "PolicyLog", ct.PolicyLog, shown, own
    log = ct.PolicyLog(**shown)
    yield "PolicyLog.weights", log.weights, {"target": np.full((2, 2), 0.5)}, {"target": kind()}
    judged, own = {"log": log, "target": np.full((2, 2), 0.5)}, {"log": kind(), "target": kind()}
    yield "ips", ct.ips, judged, own
    yield "snips", ct.snips, judged, own
    predicted = {"predicted": np.ones((2, 2))}
    yield "doubly_robust", ct.doubly_robust, judged | predicted, own | {"predicted": kind()}
    yield "replay", ct.replay, {"log": log, "policy": lambda row, kept: 1}, {"log": kind(), "policy": kind()}
    cells = {"values": [6.0, 7.0], "propensities": [0.5, 0.2], "n_cells": 9}
    own = {"values": ARRAY, "propensities": kind(), "n_cells": kind("None")}
    yield "cells_mean", ct.cells_mean, cells, own
    own = {"weights": kind("array of halves", "array beyond")}
    yield "inclusion_probabilities", ct.inclusion_probabilities, {"weights": [1.0, 2.0], "n": 1}, own


@cache
def calls():
    """{name: (function, a valid call, the kinds of its arguments)}."""
    made = {}
    groups = (
        model_calls,
        recommender_calls,
        ratings_calls,
        file_calls,
        feature_calls,
        setting_calls,
        study_calls,
        algebra_calls,
        policy_calls,
    )
    for group in groups:
        made |= {name: (function, valid, own) for name, function, valid, own in group()}
    return made


def public_functions():
    """{name: function} of everything public that takes arguments."""
    classes = {thing for thing in map(partial(getattr, ct), ct.__all__) if inspect.isclass(thing)}
    found = {name: getattr(ct, name) for name in ct.__all__ if callable(getattr(ct, name))}
    found = {name: function for name, function in found.items() if name not in ELSEWHERE | RECORDS}
    for kind_of in classes:
        for name in dir(kind_of):
            home = next(base for base in kind_of.__mro__ if name in vars(base))
            elsewhere = home is not kind_of and home in classes  # it stands there
            ours = home.__module__.startswith("content_table") and callable(getattr(kind_of, name))
            if ours and not elsewhere and not name.startswith(("_", "set_")):
                found[f"{kind_of.__name__}.{name}"] = getattr(kind_of, name)
    return {name: function for name, function in found.items() if arguments_of(function)}


def arguments_of(function):
    """The arguments by name; those of a method without the object."""
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [
        p.name for p in inspect.signature(function).parameters.values() if p.kind not in variable and p.name != "self"
    ]


# ---- The tests -------------------------------------------------------------------------------------------------------


def raised_by_us(error):
    """Whether the innermost frame is ours, and stands at a `raise`."""
    at = error.__traceback__
    while at.tb_next is not None:
        at = at.tb_next
    code = at.tb_frame.f_code
    return code.co_filename.startswith(OURS) and code.co_code[at.tb_lasti] == dis.opmap["RAISE_VARARGS"]


CAME = (
    "got",
    "unknown",
    "none of",
    "no title",
    "no user",
    "no such",
    "not among",
    "has no",
    "missing",
    "holds neither",
)
CAME += ("not to", "Training: ", "outside the scale", "only parts of", "could be any", "is a folder", "not the given")


def fault_of(function, valid, name, value, asked):
    """What is wrong with the answer to one wrong value, or ""."""
    label, thing = value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(**valid | {name: thing})
    except Exception as error:
        message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        if isinstance(error, (NotFittedError, ct.DivergenceError)) and raised_by_us(error):
            return ""
        if not isinstance(error, ERRORS) or not raised_by_us(error):
            return f"{type(error).__name__} of somebody else: {message[:100]}"
        if label in asked.right:  # refused for another reason, which the message gives
            return ""
        words = [rf"\b{name}\b", *map(re.escape, asked.called)]
        if not re.search("|".join(words), message):
            return f"does not name the argument: {message[:100]}"
        if not any(word in message for word in (*CAME, f"{name}=")):
            return f"does not say what came: {message[:100]}"
        return "" if len(message) < 2000 else f"a message of {len(message)} characters"
    return "" if label in asked.right else "is taken"


def offenders(call):
    """[(argument, value, fault)] of one call."""
    function, valid, own = calls()[call]
    names = arguments_of(public_functions()[call])
    found = []
    for name in names:
        asked = own.get(name, KINDS.get(name))
        for label, thing in values().items():
            if label not in asked.never:
                fault = fault_of(function, valid, name, (label, thing), asked)
                found += [(name, label, fault)] if fault else []
    return found


def test_every_public_call_and_every_argument_is_tried():
    functions = public_functions()
    assert set(calls()) == set(functions)
    for name, function in functions.items():
        assert [one for one in arguments_of(function) if one not in KINDS and one not in calls()[name][2]] == [], name


@pytest.mark.parametrize("call", sorted(public_functions()))
def test_a_right_call_succeeds_and_wrong_arguments_are_refused_by_name(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, valid, _ = calls()[call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(**valid)
    assert offenders(call) == []


def small_kinds(value):
    """A value with each number in it as one of the smallest of NumPy's kinds that holds it, if there is one."""
    if type(value) is tuple and value and all(type(each) in (int, float) for each in value):
        return list(zip(*map(small_kinds, value), strict=True))
    if type(value) is float and value.is_integer() and abs(value) < 128:
        value = int(value)
    kinds = (np.int8, np.uint8, np.uint64) if type(value) is int and value >= 0 else (np.int8,)
    return [kind(value) for kind in kinds] if type(value) is int and -128 <= value < 128 else []


@pytest.mark.parametrize("call", sorted(public_functions()))
def test_small_numbers_of_numpy_are_numbers_like_others(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, valid, _ = calls()[call]
    for name, value in valid.items():
        for small in small_kinds(value):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", RuntimeWarning)
                function(**valid | {name: small})


def test_small_numbers_of_numpy_do_not_overflow_where_they_are_counted_with(sample):
    model = ct.Popularity().fit(sample)
    train, test = sample.split_random(0.2)
    for n in (np.int8(100), np.uint8(200), np.uint64(7)):
        assert np.array_equal(model.top_items([0, 1], n), model.top_items([0, 1], int(n)))
        asked = [{"n": n}, {"n": int(n)}]
        pd.testing.assert_frame_equal(*(model.recommend_all(**each) for each in asked))
        learnt = ct.Popularity().fit(train)
        pd.testing.assert_frame_equal(*(ct.rank_models({"x": learnt}, test, 8, **each) for each in asked))
        found = [ct.compare({"x": ct.Popularity()}, sample, 8, n_splits=2, **each) for each in asked]
        pd.testing.assert_frame_equal(*(each.drop(columns=["fit_seconds", "certify_seconds"]) for each in found))
        assert not found[0]["error"].astype(bool).any()


def test_small_numbers_of_numpy_are_the_numbers_that_they_are(sample):
    found = ct.evaluate({"x": ct.BiasBaseline()}, sample, n_splits=2, minutes=np.int8(100))
    assert len(found) == 2
    wide = replace(sample, values=sample.values - 5, scale=(np.int8(-100), np.int8(100)))
    plain = replace(wide, scale=(-100, 100))
    one, other = (ct.EASE(liked=0.5).fit(each).item_weights_ for each in (wide, plain))
    assert np.array_equal(one, other)
    beyond = np.array([[2**64 - 1, 0]] * sample.n_users, np.uint64)
    with pytest.raises(ValueError, match="lists must hold positions of"):
        ct.ranking_metrics(beyond, sample, 5)
