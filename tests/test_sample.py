"""The embedded sample: reproducible, in the schema and with the mess of a raw dump, and calibrated for five seeds."""

import ast
import importlib.util

import numpy as np
import pandas as pd
import pytest

import content_table as ct

SPEC = importlib.util.spec_from_file_location("make_sample", ct.DATA / "make_sample.py")
make_sample = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_sample)

FIRST, SECOND, SPARSE = make_sample.FIRST, make_sample.SECOND, make_sample.SPARSE
SEEDS = range(make_sample.SEED, make_sample.SEED + 5)
COLUMNS = {
    "animes": "uid,title,synopsis,genre,aired,episodes,members,popularity,ranked,score,img_url,link",
    "profiles": "profile,gender,birthday,favorites_anime,link",
    "reviews": "uid,profile,anime_uid,text,score,scores,link",
}


def read(name):
    return pd.read_csv(ct.DATA / "raw" / f"{name}.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def tables():
    return {name: ct.load_ratings(ct.DATA / name) for name in (FIRST, SECOND, SPARSE)}


@pytest.fixture(scope="module")
def truth():
    with np.load(ct.DATA / "truth.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module", params=[SEEDS[0], *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])])
def written(request, tmp_path_factory):
    """The folder and tables of one seed."""
    folder = tmp_path_factory.mktemp("sample")
    return request.param, folder, make_sample.write_sample(folder, request.param)


def test_light_viewers_rate_titles_as_often_as_their_propensities_say():
    world = make_sample.simulate()
    rows = make_sample.N_HEAVY + np.arange(40)
    p, rated = make_sample.propensities(world, rows), world["rated"][rows]
    assert p.sum(axis=1) == pytest.approx(rated.sum(axis=1), abs=1e-8)
    for low, high in [(0, 0.01), (0.01, 0.05), (0.05, 0.15), (0.15, 1)]:
        here = (p > low) & (p <= high)
        assert rated[here].sum() == pytest.approx(p[here].sum(), abs=4 * np.sqrt((p * (1 - p))[here].sum()))
    truth = world["expected"][rows].mean()
    found, error = ct.cells_mean(world["scores"][rows][rated], p[rated])
    assert abs(found - truth) < 3 * error
    assert world["scores"][rows][rated].mean() > truth + 0.3  # the plain mean is of what people chose to watch
    with pytest.raises(ValueError, match="rows must be of light or casual viewers, from 178 on, got 3"):
        make_sample.propensities(world, [3, 200])


def test_every_seed_has_the_size_and_the_scores_of_the_real_tables(written):
    _, _, sample = written
    for column, name in enumerate((FIRST, SECOND)):
        for quantity, found in make_sample.describe(sample[name]).items():
            target = make_sample.TARGETS[quantity][column]
            assert abs(found - target) <= make_sample.tolerance(quantity, target), (name, quantity, found, target)
        error = ct.rmse(ct.BiasBaseline(reg=5).fit(sample[name]), sample[name])
        assert error == pytest.approx(make_sample.TARGETS[make_sample.TRAINING][column], abs=0.01)
    shared = set(sample[FIRST].user_names) & set(sample[SECOND].user_names)
    assert not set(sample[FIRST].item_ids) & set(sample[SECOND].item_ids)
    assert len(shared) == make_sample.N_BOTH
    assert sample[SPARSE].shape == pytest.approx((1200, 600), rel=0.1)  # how many titles pass is left to chance
    assert len(sample[SPARSE]) == pytest.approx(30_000, rel=0.1)


def test_the_committed_files_are_what_the_program_writes(written):
    seed, folder, _ = written
    if seed != make_sample.SEED:
        assert (folder / FIRST).read_bytes() != (ct.DATA / FIRST).read_bytes()  # a seed is not ignored
        return
    for path in sorted(folder.rglob("*.csv")):
        assert path.read_bytes() == (ct.DATA / path.relative_to(folder)).read_bytes(), path.name
    with np.load(folder / "truth.npz") as new, np.load(ct.DATA / "truth.npz") as old:  # zlib may pack them differently
        assert new.files == old.files
        for name in new.files:
            np.testing.assert_array_equal(new[name], old[name], strict=True)


@pytest.mark.parametrize("name", COLUMNS)
def test_raw_schema_and_repeats(name):
    frame = read(name)
    assert ",".join(frame.columns) == COLUMNS[name]
    assert frame.duplicated().sum() == make_sample.REPEATED[name]
    key = "profile" if name == "profiles" else "uid"
    assert not frame.drop_duplicates()[key].duplicated().any()  # repeats agree


def test_raw_values_read_as_in_the_wild():
    animes, profiles, reviews = (read(name).drop_duplicates() for name in COLUMNS)
    assert all(isinstance(ast.literal_eval(text), list) for text in animes.genre)
    assert not animes.genre.str.contains(make_sample.LEFT_OUT_GENRES).any()
    assert set(make_sample.FOCUS_TITLES) <= set(animes.title)
    assert animes.synopsis.str.startswith("Simulated").all()
    assert set(profiles.gender) == {"Male", "Female", "Non-Binary", ""}
    assert profiles.birthday[profiles.birthday != ""].str.fullmatch(r"[A-Z][a-z]{2} \d{1,2}, (19|20)\d\d").all()
    favourites = [uid for text in profiles.favorites_anime for uid in ast.literal_eval(text)]
    assert set(favourites) <= set(animes.uid)
    assert set(reviews.anime_uid) <= set(animes.uid)
    assert set(reviews.profile) <= set(profiles.profile)
    assert set(reviews.score) == {"", *map(str, range(11))}
    assert reviews.score.isin(["", "0"]).sum() == make_sample.N_UNSCORED
    assert reviews.text.str.startswith("Simulated").all()
    scores = reviews.scores.map(ast.literal_eval)
    assert all(parts["Overall"] == (score or "0") for parts, score in zip(scores, reviews.score, strict=True))


def test_the_filter_makes_the_committed_tables(tables):
    """The rule once more, spelled out in pandas and without the module's own filter."""
    reviews = read("reviews").drop_duplicates()
    reviews = reviews[~reviews.score.isin(["", "0"])].assign(a_id=lambda r: r.anime_uid.astype(int))

    def one_pass(rows, viewer_min, title_min):
        rows = rows[rows.groupby("profile").a_id.transform("size") >= viewer_min]
        return rows[rows.groupby("a_id").a_id.transform("size") >= title_min]

    first = one_pass(reviews, 50, 14)
    second = one_pass(reviews[~reviews.a_id.isin(first.a_id)], 44, 10)
    sparse = one_pass(reviews, 10, 18)
    for rows, name in ((first, FIRST), (second, SECOND), (sparse, SPARSE)):
        expected = set(zip(rows.profile, rows.a_id, rows.score.astype(float), strict=True))
        table = tables[name]
        assert set(zip(table.user_names[table.rows], table.item_ids[table.cols], table.values, strict=True)) == expected
    first_seen = {profile: place for place, profile in enumerate(read("reviews").profile.unique())}
    for table in tables.values():
        assert table.user_ids.tolist() == [first_seen[name] for name in table.user_names]


def test_truth_is_the_expectation_of_what_was_observed(tables, truth):
    expected = truth["expected"]
    assert expected.min() >= 1
    assert expected.max() <= 10
    rows = {profile: row for row, profile in enumerate(truth["profile"].tolist())}
    cols = {a_id: col for col, a_id in enumerate(truth["a_id"].tolist())}
    for name, table in tables.items():
        at = [rows[u] for u in table.user_names[table.rows]], [cols[i] for i in table.item_ids[table.cols].tolist()]
        residual = table.values - expected[at]
        assert abs(residual.mean()) < 3 * residual.std() / np.sqrt(len(residual)), name
        assert residual.std() < ct.rmse(ct.BiasBaseline(reg=5).fit(table), table), name  # the truth knows more
        whole = expected[np.ix_(np.unique(at[0]), np.unique(at[1]))]
        assert expected[at].mean() > whole.mean() + 0.1, name  # missing not at random


def test_truth_follows_from_its_parts(truth):
    """E[score] from the formula in the data card."""
    sd_user, sd_item, sd_taste, sd_noise = truth["sd"][truth["title_tier"]].T
    taste = (truth["viewer_taste"] * truth["axis_weights"]) @ truth["title_taste"].T
    mean = sd_user * truth["viewer_bias"][:, None] + sd_item * truth["title_bias"] + sd_taste * taste
    scale, limits = sd_noise * np.sqrt(3) / np.pi, truth["thresholds"][truth["title_tier"]].T
    steps = [1 / (1 + np.exp((limit - mean) / scale)) for limit in limits]
    np.testing.assert_allclose(1 + sum(steps), truth["expected"], atol=0.02)


def test_the_effect_of_the_profile_is_in_the_tastes(truth):
    groups = {"Female": truth["gender"] == "Female", "Male": truth["gender"] == "Male"}
    groups["born before 1990"] = truth["birth_year"] < 1990
    for group, axis, size in zip(truth["effect_group"], truth["effect_axis"], truth["effect_size"], strict=True):
        taste, inside = truth["viewer_taste"][:, truth["axes"].tolist().index(axis)], groups[str(group)]
        assert taste[inside].mean() - taste[~inside].mean() == pytest.approx(size, abs=0.2)


def test_held_out_errors_of_two_quick_models(tables):
    """A glance at the calibration; the whole of it is the command `make_sample.py calibrate --seeds 5`."""
    names = ("baseline", "spectral with biases")
    models = {name: make_sample.MODELS[name] for name in names}
    for column, table in enumerate((tables[FIRST], tables[SECOND])):
        errors = ct.evaluate(models, table, n_splits=5).groupby("model").rmse_clipped.mean()
        for name in names:
            assert errors[name] == pytest.approx(make_sample.TARGETS[name][column], abs=0.15)  # five splits are noisy


def test_the_data_card_holds_the_calibration():
    card = (ct.DATA / "README.md").read_text(encoding="utf-8")
    start, end = make_sample.MARKERS
    table = card[card.index(start) : card.index(end)]
    assert all(f"| {quantity} |" in table for quantity in make_sample.TARGETS)
    assert "missed" not in table
    assert "reversed" not in table
    for column, ratings in enumerate(ct.load_ratings(ct.DATA / name) for name in (FIRST, SECOND)):
        row = next(line for line in table.splitlines() if line.startswith("| mean score |")).split("|")
        assert float(row[4 + 3 * column]) == pytest.approx(ratings.values.mean(), abs=5e-4)
