"""The page of one's own, driven from Python: what it finds, takes and shows, and what stays without a kernel."""

import gzip
import importlib.util
import re
import sys
from datetime import UTC, datetime
from html import unescape

import numpy as np
import pytest
import widget

import content_table as ct

TITLES = ["Apple", "Bear", "<b>Cat</b> & $x$ $y$", "進撃の巨人", "Elk & Bear"]


@pytest.fixture(scope="module")
def model(table):
    """A model fitted to the typed-in table, two of its titles with signs that HTML and formulas use."""
    named = ct.Ratings(table.user_ids, table.item_ids, table.rows, table.cols, table.values, titles=TITLES)
    return ct.SpectralRegularization(reg=1, biases=True).fit(named)


@pytest.fixture(scope="module")
def genres():
    return ct.Features([11, 12, 13], [[1, 0], [0, 1], [1, 1]], ["Comedy", "Drama"])


@pytest.fixture
def page(model, genres):
    return widget.your_list(model, {"Apple": 9}, genres=genres)


def listed(page):
    """The titles of the list, as the widget shows them."""
    return [title for title, _ in page.titles.options]


def plain(html):
    return unescape(re.sub("<[^>]*>", " ", html))


# ---- What it takes and what it makes of it ----


def test_the_list_and_its_reasons_are_those_of_the_model(model):
    own = widget.OwnRatings(model, {"Apple": 9, 12: 3})
    viewer = model.fold_in({11: 9, 12: 3})
    assert own.ratings == {11: 9, 12: 3}
    assert own.list().equals(viewer.recommend(10, uncertainty=True))
    assert [item for item, _, _ in own.rows()] == viewer.recommend()["item_id"].tolist()
    why = ct.explain(model, viewer, 14)
    *_, everybody = names = [
        name if np.isnan(rating) else f"{name}, rated {rating:g}" for name, rating, _ in why.itertuples(index=False)
    ]
    names[-1] = "what everybody gets"
    assert everybody.startswith(names[-1])
    assert own.reasons(14) == list(zip(names, why["contribution"].round(2), strict=True))


def test_a_rating_is_added_changed_and_taken_back(model):
    own = widget.OwnRatings(model)
    nobody = own.rows()
    own.rate("appl", 9)
    assert (own.ratings, own.message) == ({11: 9}, "Rated 9: Apple")
    assert own.rows() != nobody
    own.rate(11, 2.5)
    assert (own.ratings, own.message) == ({11: 2.5}, "Rated 2.5: Apple")
    own.remove(11)
    assert (own.ratings, own.message) == ({}, "No longer rated: Apple")
    assert own.rows() == nobody


def test_with_no_rating_the_page_says_so_and_lists_what_is_said_of_anybody(model):
    own = widget.OwnRatings(model)
    assert own.list()["item_id"].tolist() == model.fold_in({}).recommend()["item_id"].tolist()
    assert "No rating yet" in repr(own)
    assert "No rating yet" in own.html()
    own.rate("Apple", 9)
    assert "No rating yet" not in repr(own) + own.html()


@pytest.mark.parametrize(
    ("title", "rating", "words"),
    [
        ("Apple", 11, "from 1 to 10, got 11"),
        ("Apple", "many", "got 'many'"),
        ("ear", 8, "Bear (12); Elk & Bear (15)"),
        ("Zebra", 8, "'Zebra'"),
        (99, 8, "99"),
        (None, 8, "None"),
    ],
)
def test_what_is_wrong_is_said_in_words_and_changes_nothing(model, title, rating, words):
    own = widget.OwnRatings(model, {"Bear": 8})
    before = own.rows()
    own.rate(title, rating)
    assert words in own.message
    assert own.ratings == {12: 8}
    assert own.rows() == before
    assert words in repr(own)
    assert words in plain(own.html())


@pytest.mark.parametrize("start", [{"Apple": 11}, {"Apple": 8, 11: 7}, {"Zebra": 3}, ["Apple"]])
def test_a_wrong_start_is_said_in_words_and_the_page_opens(model, start):
    page = widget.your_list(model, start)
    assert page.own.message == widget.refused(lambda: model.fold_in(start)) != ""
    assert page.own.message in plain(page.message.value)
    assert page.ratings == {}


def test_a_list_somebody_keeps_is_taken_and_what_was_seen_is_not_listed(model):
    own = widget.OwnRatings(model, ct.OwnList({11: 9}, [11, 12], None, {}))
    assert own.ratings == {11: 9}
    assert sorted(own.list()["item_id"]) == [13, 14, 15]


def test_all_ratings_are_taken_back_at_once(model, genres):
    page = widget.your_list(model, ct.OwnList({11: 9, 12: 3}, [11, 12, 13], None, {}), genres=genres)
    nobody = widget.your_list(model, genres=genres)
    page.clear.click()
    assert (page.ratings, page.rated.children) == ({}, ())
    assert page.titles.options == nobody.titles.options
    assert page.scores.value == nobody.scores.value
    assert "Nothing is rated" in page.message.value


@pytest.mark.parametrize(
    ("given", "asked"),
    [({11: 9, 12: 8, 15: 10}, True), ({11: 9, 12: 3, 15: 10}, False), ({11: 9, 12: 8}, False), ({}, False)],
)
def test_who_rated_only_favourites_is_asked_for_something_disliked(model, given, asked):
    page = widget.your_list(model, given)
    assert [("disliked" in text) for text in (page.hint.value, repr(page), page.own.html())] == [asked] * 3
    assert (page.hint.layout.display == "none") != asked
    page.own.take({**given, 14: 1})
    page.show()
    assert "disliked" not in page.hint.value


# ---- A list that somebody keeps ----


def upload(page, name, content):
    """What the browser sends when a file has been chosen."""
    file = {"name": name, "type": "", "size": len(content), "content": content, "last_modified": NOW}
    page.upload.value = (file,)


def an_export(*entries):
    rows = "".join(
        f"<anime><series_animedb_id>{item}</series_animedb_id><series_title>{title}</series_title>"
        f"<my_score>{score}</my_score><my_status>Completed</my_status></anime>"
        for item, title, score in entries
    )
    return f"<myanimelist>{rows}</myanimelist>".encode()


NOW = datetime(2020, 1, 1, tzinfo=UTC)
EXPORT = an_export((12, "Bear", 4), (11, "Apple", 10), (14, "進撃の巨人", 0), (77, "Zebra", 5), (78, "Yak", 0))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("animelist.xml", EXPORT),
        ("animelist.xml.gz", gzip.compress(EXPORT, mtime=0)),
        ("list.csv", "title,score\nBear,4\nApple,10\n進撃の巨人,0\nZebra,5\nYak,0\n".encode()),
    ],
    ids=["XML", "packed", "CSV"],
)
def test_an_imported_list_joins_the_ratings_and_what_is_unknown_is_counted(page, name, content):
    upload(page, name, content)
    assert page.ratings == {11: 10, 12: 4}
    assert plain(page.message.value).strip() == "Taken 2; unknown titles 2; without a score 1"
    assert sorted(item for _, item in page.titles.options) == [13, 15]  # 14 was seen
    assert page.upload.value == ()  # the same file can be chosen again
    page.clear.click()
    upload(page, name, content)
    assert page.ratings == {11: 10, 12: 4}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("half.xml", EXPORT[:150], "half.xml is not whole"),
        ("empty.csv", b"", "empty.csv is empty"),
        ("other.csv", b"a,b\n1,2\n", "needs a column with the score"),
        ("high.xml", an_export((11, "Apple", 11)), "outside 1 to 10"),
        ("packed.gz", gzip.compress(EXPORT, mtime=0)[:40], "cut off or damaged"),
        ("\0.xml", EXPORT, "null"),
        ("n" * 999, EXPORT, "name too long"),
    ],
    ids=["cut off", "empty", "another table", "outside", "damaged", "no name", "long name"],
)
def test_a_file_that_is_no_list_is_refused_in_words_and_changes_nothing(page, name, content, words):
    before = page.titles.options, page.scores.value, page.own.seen
    upload(page, name, content)
    assert words in plain(page.message.value)
    assert page.ratings == {11: 9}
    assert (page.titles.options, page.scores.value, page.own.seen) == before


def test_the_folder_in_a_file_name_is_not_written_to(page, tmp_path):
    upload(page, f"{tmp_path}/mine.xml", EXPORT)
    assert page.ratings == {11: 10, 12: 4}
    assert list(tmp_path.iterdir()) == []


def test_the_list_follows_whoever_rates_favourites_only(model, genres):
    told = {"Apple": 9, "Bear": 8}
    page, plain_page = widget.your_list(model, told, genres=genres), widget.your_list(model, told, follow=False)
    assert page.own.model.rating_ is model  # nothing is fitted again
    assert page.own.model.item_features is genres
    assert plain_page.own.model is model
    assert "match" in repr(page)
    assert "match" not in repr(plain_page)
    shown = dict(zip(listed(page), re.findall(r"[\d.]+(?= ±)", page.scores.value), strict=True))
    assert shown == dict(zip(listed(plain_page), re.findall(r"[\d.]+(?= ±)", plain_page.scores.value), strict=True))


def test_a_model_saved_without_its_viewers_shows_its_own_list(model, tmp_path, monkeypatch):
    monkeypatch.setattr(widget, "widgets", None)
    model.save(tmp_path / "bare.npz", with_ratings=False)
    bare = ct.load_model(tmp_path / "bare.npz")
    assert widget.your_list(bare).model is bare
    assert isinstance(widget.your_list(model).model, ct.Hybrid)


# ---- Titles by name ----


@pytest.fixture(scope="module")
def known(sample):
    """A model of titles with English names."""
    return ct.BiasBaseline().fit(sample)


def test_titles_are_found_and_listed_with_their_english_names(known):
    page = widget.your_list(known)
    page.search.value = "attack on titan"
    assert page.found.options[0][0] == "Shingeki no Kyojin · Attack on Titan"
    assert "Shingeki no Kyojin · Attack on Titan" in page.chosen.value
    page.rate.click()
    assert "Shingeki no Kyojin · Attack on Titan" in page.message.value
    assert "Shingeki no Kyojin · Attack on Titan" in page.rated.children[0].children[0].value
    listed_english = [title for title in listed(page) if " · " in title]
    assert listed_english
    for title in listed_english:
        assert title in repr(page)
        assert title in unescape(page.own.html())


def test_an_english_name_that_says_no_more_is_left_out(known):
    own = widget.OwnRatings(known)
    assert own.label(own.model.ratings_.item_id("Death Note")) == "Death Note"
    assert own.label(own.model.ratings_.item_id("One Punch Man")) == "One Punch Man"  # One-Punch Man in English


def test_a_title_with_a_full_stop_gets_no_second_one(known):
    page = widget.your_list(known)
    page.search.value = "Your Name"
    page.rate.click()
    words, remove = page.rated.children[0].children
    said = [page.message.value, words.value, remove.tooltip]
    remove.click()
    said.append(page.message.value)
    assert ["Kimi no Na wa." in text and ".." not in text for text in said] == [True] * 4


def test_titles_are_found_by_a_part_in_any_case_and_a_misspelling_is_told(model):
    own = widget.OwnRatings(model, {"Apple": 9})
    assert own.search("BEA") == ([12, 15], "Choose one:")
    assert own.search("進撃")[0] == [14]
    assert own.search("aple") == ([11], "Nothing has “aple” in it; closest:")
    assert own.search("qqqq") == ([], "No title is like “qqqq”.")
    assert own.search("!!")[0] == []
    assert own.search("ear", n=1) == ([12], "The first 1; type more for others:")


def test_before_anything_is_typed_the_most_rated_titles_are_offered(model):
    counts = np.bincount(model.ratings_.cols)
    ids = widget.OwnRatings(model, {"Apple": 9}).search(" ")[0]
    assert sorted(ids) == [12, 13, 14, 15]
    assert (np.diff(counts[np.array(ids) - 11]) <= 0).all()


def test_a_page_of_typing_is_no_burden(model):
    ids, note = widget.OwnRatings(model).search("lorem ipsum " * 10_000)
    assert ids == []
    assert len(note) < 100


# ---- The widgets ----


def test_typing_offers_titles_and_rating_one_changes_the_list(page, model):
    before = listed(page)
    page.search.value = "BEA"
    assert page.found.options == (("Bear", 12), ("Elk & Bear", 15))
    assert page.found.value == 12
    page.rating.value = 2
    assert page.rate.description == "Rate it 2"
    page.rate.click()
    assert page.ratings == {11: 9, 12: 2}
    assert "Bear" in before
    follows = page.own.model.fold_in({11: 9, 12: 2}).recommend()
    assert listed(page) == follows["title"].tolist()
    assert page.scores.value.count("±") == len(follows)
    assert all(f"{shown:.2f} ±" in page.scores.value for shown in follows["predicted_rating"])
    assert all(said in page.message.value for said in ("2", "Bear"))
    assert page.search.value == ""


def test_removing_a_rating_brings_the_list_back(page):
    scores, reasons = page.scores.value, page.reasons.value
    page.search.value = "bear"
    page.rate.click()
    assert page.scores.value != scores
    assert [plain(slot.children[0].value).split() for slot in page.rated.children] == [["5", "Bear"], ["9", "Apple"]]
    page.rated.children[0].children[1].click()
    assert page.ratings == {11: 9}
    assert len(page.rated.children) == 1
    page.titles.index = 0
    assert (page.scores.value, page.reasons.value) == (scores, reasons)


def test_the_reasons_are_those_of_the_chosen_row_and_it_stays_chosen(page):
    assert page.titles.index == 0
    chosen = page.titles.options[2][1]
    page.titles.value = chosen
    assert plain(page.own.title(chosen)) in plain(page.reasons.value)
    page.search.value = "bear"
    page.rate.click()
    if chosen in [item for _, item in page.titles.options]:
        assert page.titles.value == chosen


def test_a_rated_title_is_marked_and_brings_its_rating_along(page):
    page.search.value = "appl"
    assert page.found.options == (("rated 9: Apple", 11),)
    assert page.rating.value == 9


def test_nothing_can_be_rated_where_nothing_was_found(page):
    page.search.value = "qqqq"
    assert page.rate.disabled
    assert page.found.options == ()
    nothing = page.note.value
    page.search.value = "aple"
    assert not page.rate.disabled
    assert page.note.value not in ("", nothing)


def test_a_genre_is_left_out_and_let_in_again(page):
    page.leave.value = "Drama"
    assert sorted(listed(page)) == ["Elk & Bear", "進撃の巨人"]
    assert "Drama" in page.left_out.value
    page.leave.value = "Comedy"
    assert page.own.leave_out == ("Comedy", "Drama")
    page.leave.value = "Drama"
    assert sorted(listed(page)) == ["Bear", "Elk & Bear", "進撃の巨人"]


def test_the_options_change_the_list(sample):
    model = ct.ALS(n_factors=3, biases=True, n_epochs=10, tol=0).fit(sample)
    page, viewer = widget.your_list(model, {"Monster": 10}, n=30, follow=False), model.fold_in({"Monster": 10})
    lists = {}
    for one, vary in ((True, 0.0), (False, 0.0), (True, 2.0)):
        page.one.value, page.vary.value = one, vary
        lists[one, vary] = tuple(listed(page))
        table = viewer.recommend(30, one_per_work=one, diversity=vary)
        assert [item for _, item in page.titles.options] == table["item_id"].tolist()
    assert len(set(lists.values())) == 3


def test_how_far_titles_have_moved_is_shown(page):
    assert plain(page.moves.value).split() == []
    page.ranks_before = {page.titles.options[1][1]: 0, page.titles.options[0][1]: 1, page.titles.options[2][1]: 2}
    page.show()
    assert plain(page.moves.value).split() == ["▲", "1", "▼", "1", "new"]


def test_where_everything_is_rated_the_page_says_so(model):
    page = widget.your_list(model, dict.fromkeys(model.ratings_.item_ids.tolist(), 5))
    assert listed(page) == []
    assert page.titles.value is None
    assert "Nothing is left" in page.reasons.value
    assert "Nothing is left" in page.own.html()


def test_a_long_list_of_ratings_shows_the_latest_and_more_on_demand(sample):
    model = ct.BiasBaseline().fit(sample)
    page = widget.your_list(model, dict.fromkeys(sample.item_ids[:20].tolist(), 7))
    assert len(page.rated.children) == 8 + 1
    page.more.click()
    page.more.click()
    assert len(page.rated.children) == 20


@pytest.mark.parametrize("kind", [ct.ItemKNN(), ct.BiasBaseline(), ct.ImplicitALS(n_factors=2), ct.Popularity()])
def test_what_a_model_cannot_do_is_not_offered(kind, table, genres):
    model = kind.fit(table)
    bare, informed = widget.your_list(model), widget.your_list(model, genres=genres)
    assert ("±" in repr(bare)) == isinstance(model, ct.BiasBaseline)
    assert bare.own.can_vary == isinstance(model, ct.ImplicitALS)
    assert isinstance(bare.own.model, ct.Hybrid) == (model.score_name == "predicted_rating")
    assert informed.own.can_vary
    informed.vary.value = 1.0
    assert len(listed(informed)) == 5


@pytest.mark.parametrize(
    ("values", "scale", "step"), [([5, 3], (1, 10), 1.0), ([4.5, 3], (1, 5), 0.5), ([5, 3], (0.5, 5), 0.5)]
)
def test_the_slider_has_the_steps_of_the_scale(values, scale, step):
    ratings = ct.Ratings([1, 2], [3, 4], [0, 1], [0, 1], values, scale=scale)
    page = widget.your_list(ct.BiasBaseline().fit(ratings))
    for field in (page.slider, page.rating):
        assert (field.min, field.max, field.step) == (*scale, step)


@pytest.mark.parametrize(("scale", "middle"), [((1, 10), (5, 6)), ((1, 5), (3,)), ((0, 100), (50,))])
def test_the_slider_starts_in_the_middle_and_moves_with_the_number(scale, middle):
    ratings = ct.Ratings([1, 2], [3, 4], [0, 1], [0, 1], [5, 4], scale=scale)
    page = widget.your_list(ct.BiasBaseline().fit(ratings))
    assert page.slider.value in middle
    page.rating.value = 2
    assert (page.slider.value, page.rate.description) == (2, "Rate it 2")
    page.slider.value = 4
    assert (page.rating.value, page.rate.description) == (4, "Rate it 4")
    page.rate.click()
    assert page.slider.value in middle  # for the next title


def test_every_field_and_button_has_a_name_for_those_who_do_not_see_it(page):
    fields = (page.search, page.found, page.rating, page.one, page.vary, page.leave, page.clear, page.upload, page.rate)
    names = [field.description for field in fields]
    names += [slot.children[1].tooltip for slot in page.rated.children]
    assert all(names)
    assert len(set(names)) == len(names)


# ---- What stays without a kernel ----


def test_signs_of_html_in_a_title_stay_signs(model):
    page = widget.your_list(model, {13: 9})
    for html in (
        page.own.html(),
        page.rated.children[0].children[0].value,
        page.reasons.value,
        page.own.reasons_html(13).split("</p>")[0],
    ):
        assert "<b>Cat" not in html
        assert "&lt;b&gt;Cat&lt;/b&gt; &amp; $x$ $y$" in html
    page.own.remove(13)
    assert "&lt;b&gt;Cat" in page.own.html()
    assert "進撃の巨人" in page.own.html()
    assert page.own.html().startswith('<div class="tex2jax_ignore">')
    page.search.value = "<script>"
    page.own.rate("<script>", 8)
    page.show()
    for html in (page.note.value, page.message.value, page.own.html()):
        assert "<script>" not in html
        assert "&lt;script&gt;" in html


def test_a_cell_shows_the_widget_or_the_same_list_as_text(page):
    bundle = page._repr_mimebundle_()
    assert bundle.keys() == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == page.box.model_id
    for title, score in zip(listed(page), re.findall(r"\d\.\d\d ± \d\.\d\d", page.scores.value), strict=True):
        assert score in bundle["text/plain"]
        assert title in bundle["text/plain"]
        assert f"{title}  {score}" in plain(bundle["text/html"])
    assert page.reasons.value in bundle["text/html"]
    page.search.value = "bear"
    page.rate.click()
    assert page._repr_mimebundle_()["text/plain"] != bundle["text/plain"]


def test_the_text_that_stays_is_the_same_each_time(model, page, genres):
    again = widget.your_list(model, {11: 9.0}, genres=genres)
    for kind in ("text/html", "text/plain"):
        assert again._repr_mimebundle_()[kind] == page._repr_mimebundle_()[kind]
        assert not re.search(r"0x[0-9a-f]{6}|[0-9a-f]{16}|\d\.\d{3}|-0\.00", page._repr_mimebundle_()[kind])


def test_bars_go_right_for_what_raises_a_prediction_and_left_for_what_lowers_it(model, monkeypatch):
    own = widget.OwnRatings(model, {"Apple": 9})
    parts = [
        ("Apple, rated 9", 1.0),
        ("Bear, rated 2", -0.5),
        ("Elk, rated 3", 0.0),
        ("what everybody gets: this", 5.0),
    ]
    monkeypatch.setattr(own, "reasons", lambda item: parts)
    rows = own.reasons_html(12).split("<tr>")[1:]
    bars = [[(color, width, left) for width, color, left in BAR.findall(row)] for row in rows]
    full = widget.BAR
    assert bars == [[(widget.MORE, str(full), "0")], [(widget.LESS, str(full // 2), str(full - full // 2))], [], []]


BAR = re.compile(r"width: (\d+)px; height: 12px; background-color: (#\w+); margin-left: (\d+)px")


def test_without_ipywidgets_the_list_stands_there_as_a_table(model, page, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    spec = importlib.util.spec_from_file_location("widget_alone", widget.__file__)
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    shown = alone.your_list(model, {"Apple": 9})._repr_mimebundle_()
    assert shown.keys() == {"text/html", "text/plain"}
    assert shown["text/html"] == page._repr_mimebundle_()["text/html"]
