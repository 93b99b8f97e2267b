"""Lists for somebody who tells nothing but favourites: do they follow the viewer? Into results/favourites.json.

    CONTENT_TABLE_DATA=... python benchmarks/favourites.py            # about ten minutes on two cores
    python benchmarks/favourites.py --tastes                          # ten typed tastes on the sample, before and after

Viewers are split in five parts; the models learn from four, and each viewer of the fifth with more favourites than they
are to tell (ratings of 9 of 10 and more, 4.5 of 5) tells `told` of them, drawn at random. A list of ten is made of all
other titles; right are the other favourites. `overlap` is the share of the list that stands on the list for nobody.
`liking`, of the simulated tables alone: the mean expected score of the ten titles, by the truth. Intervals are of 95 %,
paired, over viewers. The settings of `Hybrid` were chosen on the simulated tables and on table 1; table 2 and
MovieLens (its titles with 20 ratings or more) confirm them.
"""

import argparse

import numpy as np
from common import describe, machine, real_data, write_results
from sklearn.base import clone

import content_table as ct
from content_table_parts.newcomers import ridge_fold

TOLD, LENGTH, FOLDS = (3, 5, 10), 10, 5
REPEATS = {"sample": 4, "larger sample": 1, "table 1": 4, "table 2": 4, "MovieLens": 1}
SPECTRAL = ct.SpectralRegularization(reg=8, biases=True, tol=1e-4)  # as `content_table --list` has it
TASTES = {
    "sports": {"Haikyuu!!": 10, "Kuroko no Basket": 9, "Free!": 9, "Hajime no Ippo": 10},
    "Ghibli": {"Sen to Chihiro no Kamikakushi": 10, "Mononoke Hime": 10, "Tonari no Totoro": 9,
               "Howl no Ugoku Shiro": 10, "Tenkuu no Shiro Laputa": 9},
    "romance": {"Toradora!": 10, "Clannad": 9, "Kimi ni Todoke": 9, "Ao Haru Ride": 9},
    "dark": {"Monster": 10, "Shinsekai yori": 9, "Higurashi no Naku Koro ni": 9, "Elfen Lied": 9},
    "comedy": {"Gintama": 10, "Nichijou": 9, "Danshi Koukousei no Nichijou": 9, "Grand Blue": 9},
    "mecha": {"Code Geass: Hangyaku no Lelouch": 10, "Neon Genesis Evangelion": 9, "Tengen Toppa Gurren Lagann": 10},
    "slice of life": {"K-On!": 10, "Barakamon": 9, "Non Non Biyori": 9, "Usagi Drop": 9},
    "psychological": {"Death Note": 10, "Paranoia Agent": 9, "Perfect Blue": 9, "Serial Experiments Lain": 9},
    "isekai": {"Sword Art Online": 9, "Overlord": 10, "No Game No Life": 9, "Log Horizon": 9},
    "mixed": {"Haikyuu!!": 10, "K-On!": 9, "Elfen Lied": 2, "Monster": 3, "Sword Art Online": 4},
}  # fmt: skip


def tables():
    """name -> (ratings, path of the file, genres, expected scores or None, rating of a favourite, model)."""
    films = real_data("ml-latest-small")
    genres = real_data("mal", "anime_id_to_genre.csv")
    found = {"sample": (ct.DATA / "100x100.csv", ct.DATA / "catalogue.csv"),
             "larger sample": (ct.DATA / "sparse.csv", ct.DATA / "catalogue.csv"),
             "table 1": (real_data("mal", "100x100.csv"), genres),
             "table 2": (real_data("mal", "100x100_2.csv"), genres), "MovieLens": (films, films)}  # fmt: skip
    for name, (path, catalogue) in found.items():
        ratings, model, favourite = ct.load_ratings(path), SPECTRAL, 9.0
        if name == "MovieLens":
            ratings, model, favourite = ratings.filter_once(1, 20), ct.SpectralRegularization(4, True, tol=1e-3), 4.5
            path = films / "ratings.csv"
        yield name, ratings, path, ct.load_genres(catalogue, ratings), _expected(name, ratings), favourite, model


def _expected(name, ratings):
    if "sample" not in name:
        return None
    with np.load(ct.DATA / "truth.npz", allow_pickle=False) as truth:
        viewers = {profile: row for row, profile in enumerate(truth["profile"].tolist())}
        titles = {item: col for col, item in enumerate(truth["a_id"].tolist())}
        rows = [viewers[profile] for profile in ratings.user_names.tolist()]
        return truth["expected"][np.ix_(rows, [titles[item] for item in ratings.item_ids.tolist()])]


def candidates(train, genres, model, rng):
    """name -> function(positions, ratings) of scores of all titles: today's, the floors, and what was tried."""
    today = clone(model).fit(train)
    nobody, factors = today.fold_in({}).scores, today.item_factors_
    hybrid = {"": ct.Hybrid(today, genres, prefit=True), " without genres": ct.Hybrid(today, prefit=True),
              " genres alone": ct.Hybrid(today, genres, likes_weight=0, prefit=True),
              " twice": ct.Hybrid(today, genres, likes_weight=1, content_weight=1, prefit=True)}  # fmt: skip
    rankers = {"EASE": ct.EASE(), "implicit ALS": ct.ImplicitALS()}
    fitted = {f"hybrid{name}": one.fit(train) for name, one in hybrid.items()}
    fitted |= {name: one.fit(train) for name, one in rankers.items()}

    def without_bias(at, values):
        """The fold-in with a prior that the viewer's bias is 0: a penalty without end on it."""
        penalty = np.full(factors.shape[1], float(today.in_use("reg")))
        return ridge_fold(today.global_mean_ + today.item_bias_, (factors,), penalty, at, values).scores()

    def folded(one):
        return lambda at, values: one._newcomer(0, at, values).scores()

    return {
        "today": folded(today), "nobody": lambda at, values: nobody,
        "popularity": lambda at, values: train.item_counts, "random": lambda at, values: rng.random(train.n_items),
        "no viewer's bias": without_bias,
        "unlike the crowd": lambda at, values: folded(today)(at, values) - 0.5 * nobody,
    } | {name: folded(one) for name, one in fitted.items()}  # fmt: skip


def measure(order, right, nobody, expected):
    """(NDCG@10, recall@10, overlap, liking) of a list of positions."""
    worth = 1 / np.log2(np.arange(2, LENGTH + 2))
    hits, best = np.isin(order, right), min(LENGTH, len(right))
    liking = np.nan if expected is None else expected[order].mean()
    return hits @ worth[: len(hits)] / worth[:best].sum(), hits.sum() / best, np.isin(order, nobody).mean(), liking


def cases(ratings, genres, model, expected, favourite, repeats):
    """Rows (told, viewer, candidate, measures) of all viewers, splits and counts of favourites."""
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        viewers = rng.permutation(ratings.n_users)
        for fold in range(FOLDS):
            new = viewers[fold::FOLDS]
            score = candidates(ratings.part(~np.isin(ratings.rows, new)), genres, model, rng)
            for row in new:
                own = rng.permutation(np.flatnonzero((ratings.rows == row) & (ratings.values >= favourite)))
                for told in [told for told in TOLD if told < len(own)]:
                    at, right = ratings.cols[own[:told]], ratings.cols[own[told:]]
                    lists = {name: _list(one(at, ratings.values[own[:told]]), at) for name, one in score.items()}
                    likes = None if expected is None else expected[row]
                    for name, order in lists.items():
                        yield told, row, name, measure(order, right, lists["nobody"], likes)


def _list(scores, seen):
    scores = np.array(scores, dtype=float)
    scores[seen] = -np.inf
    return ct.best_positions(scores, LENGTH)


def summary(rows):
    """{told: {candidate: means, and differences from today's with half-widths}}; a viewer counts once."""
    found = {}
    for told in TOLD:
        own = {}
        for _, viewer, name, measures in (row for row in rows if row[0] == told):
            own.setdefault(name, {}).setdefault(viewer, []).append(measures)
        means = {name: np.array([np.mean(each, axis=0) for each in own[name].values()]) for name in own}
        found[f"{told} told"] = {name: _line(values, means["today"]) for name, values in means.items()}
    return found


def _line(values, today):
    line, apart = {"viewers": len(values)}, values - today
    for j, measure_name in enumerate(("ndcg", "recall", "overlap", "liking")):
        if np.isfinite(values[:, j]).all():
            half = 1.96 * apart[:, j].std(ddof=1) / np.sqrt(len(values))
            numbers = values[:, j].mean(), apart[:, j].mean(), half
            line |= dict(zip((measure_name, f"{measure_name} more", f"{measure_name} half"), numbers, strict=True))
    return {name: round(float(value), 4) for name, value in line.items()}


def tastes():
    """The lists of ten typed tastes on the larger sample, by predicted rating alone and as `Hybrid` orders them."""
    ratings = ct.load_ratings(ct.DATA / "sparse.csv")
    genres = ct.load_genres(ct.DATA / "catalogue.csv", ratings)
    before = clone(SPECTRAL).fit(ratings)
    after = ct.Hybrid(before, genres, prefit=True).fit(ratings)
    for taste, told in TASTES.items():
        known = {title: rating for title, rating in told.items() if title in ratings.titles.tolist()}
        print(f"{taste}: {', '.join(f'{title} {rating}' for title, rating in known.items())}")
        for name, model in (("before", before), ("after", after)):
            listed = model.fold_in(known).recommend(LENGTH)["title"].tolist()
            nobody = model.fold_in({}).recommend(LENGTH, exclude=list(known))["title"].tolist()
            print(f"  {name}, {len({*listed} & {*nobody})} of {LENGTH} as for nobody: {'; '.join(listed)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tastes", action="store_true", help="only print the lists of ten typed tastes")
    parser.add_argument("--only", help="only print the results of this table")
    options = parser.parse_args()
    if options.tastes:
        tastes()
        return
    results = {"made_by": "python benchmarks/favourites.py", "machine": machine(), "tables": {}}
    for name, ratings, path, genres, expected, favourite, model in tables():
        if options.only in (None, name):
            rows = list(cases(ratings, genres, model, expected, favourite, REPEATS[name]))
            results["tables"][name] = {"data": describe(ratings, path), "model": repr(model)} | summary(rows)
            for told in (f"{told} told" for told in TOLD):
                print(name, told, *results["tables"][name][told].items(), sep="\n  ")
    if options.only is None:
        write_results("favourites.json", results)


if __name__ == "__main__":
    main()
