"""A page of one's own: find titles, rate them, and see the list and its reasons change at once.

`your_list` shows it. Without ipywidgets, or without a running kernel, the same list and reasons stand there as a table.
Nothing leaves the machine.
"""

import tempfile
from contextlib import suppress
from html import escape
from pathlib import Path

import numpy as np

import content_table as ct

try:
    import ipywidgets as widgets
except ImportError:
    widgets = None

MORE, LESS = "#0072B2", "#D55E00"  # what raises a prediction, and what lowers it
LINE, BAR = 28, 120  # pixels: from row to row, and the longest bar
CUT = "white-space: nowrap; overflow: hidden; text-overflow: ellipsis"  # a long title ends in an ellipsis
LEFT, RIGHT = (f"text-align: {side}; padding: 3px 8px; border: none; white-space: nowrap" for side in ("left", "right"))
IMPORT = "import a list"
STYLE = f"""<style>
.own-page h4 {{ margin: 0; font-size: 15px; line-height: {LINE}px; }}
.own-page .widget-html-content {{ line-height: 18px; min-height: 18px; white-space: normal;
  min-width: 0; overflow-wrap: break-word; }}
.own-page .own-column, .own-page .own-titles {{ margin: 0; }}
.own-page .own-column div {{ height: {LINE}px; line-height: {LINE}px; text-align: right; white-space: nowrap; }}
.own-page .own-moves {{ width: 44px; }}
.own-page .own-column {{ padding: 0 4px 0 8px; }}
.own-page .own-one-line {{ {CUT}; }}
.own-page .own-rated > * {{ flex: 0 0 auto; overflow: hidden; }}
.own-page select[size] {{ overflow-x: hidden; }}
.own-page option {{ overflow: hidden; text-overflow: ellipsis; }}
.own-page .own-titles > div {{ width: 100%; margin: 0; padding: 0; }}
.own-page .own-titles button {{ display: block; width: 100%; height: {LINE}px; line-height: {LINE}px; margin: 0;
  padding: 0 8px; text-align: left; {CUT}; background: none; box-shadow: none;
  border: none; border-radius: 4px; font-size: inherit; }}
.own-page .own-titles button:hover {{ background: rgba(128, 128, 128, 0.15); }}
.own-page .own-titles button.mod-active {{ background: rgba(0, 114, 178, 0.25); font-weight: 600;
  box-shadow: inset 3px 0 0 {MORE}; }}
.own-page button:focus-visible, .own-page .noUi-handle:focus-visible {{
  outline: 2px solid var(--jp-brand-color1, {MORE}); outline-offset: -2px; }}
.own-page .fa-times::before {{ content: "\\f00d"; content: "\\f00d" / ""; }}  /* a sign that is not read aloud */
.own-page .widget-upload {{ font-size: 0; }}  /* it counts files: "import a list (0)" */
.own-page .widget-upload::after {{ font-size: var(--jp-widgets-font-size, 13px); content: "{IMPORT}";
  content: "{IMPORT}" / ""; }}
</style>"""


def your_list(model, start=None, n=10, genres=None, follow=True):
    """Show a page on which to search titles and rate them, with the list of the fitted `model` for these ratings.

    Parameters
    ----------
    model : fitted Recommender
    start : {item id or title: rating} or OwnList, optional
        What is rated already when the page opens.
    n : int
        Length of the list.
    genres : Features, optional
        The `load_genres` table; then genres can be left out.
    follow : bool
        A model of ratings is made a `Hybrid`, so that the list follows somebody who rates favourites only. Not where it
        was saved without its ratings, or there are too many titles.

    Returns
    -------
    Page, or OwnRatings where ipywidgets is not installed: shown at the end of a cell. `ratings` is what was rated.
    """
    has_ratings = not refused(lambda: model.fitted().csr)
    if follow and has_ratings and model.score_name == "predicted_rating":
        with suppress(MemoryError):
            model = ct.Hybrid(model, genres, prefit=True).fit(model.ratings_)
    own = OwnRatings(model, start, n, genres)
    return own if widgets is None else Page(own)


def refused(action):
    """Do something; what is wrong with it in words, or "" where nothing is."""
    try:
        action()
    except KeyError as error:
        return str(error.args[0])  # str(error) would add quotes
    except (OSError, TypeError, ValueError) as error:
        return str(error)
    return ""


class OwnRatings:
    """What somebody has rated so far and what a model makes of it; it shows itself as text and as HTML."""

    def __init__(self, model, start=None, n=10, genres=None):
        self.model, self.n, self.genres = model, n, genres
        self.one_per_work, self.leave_out, self.diversity, self.likeness = True, (), 0.0, None
        self.seen = tuple(getattr(start, "seen", ()))  # of an OwnList: begun but not rated is nothing to recommend
        self.take({})
        self.can_doubt = not refused(lambda: self.viewer.rating.model.noise())
        self.can_vary = True
        if refused(lambda: self.viewer.recommend(1, diversity=1.0)):  # no factors that could tell twins
            self.can_vary, self.likeness = genres is not None, genres
        self.message = refused(lambda: self.take({} if start is None else start))

    def take(self, given):
        """These ratings {id or title: rating points} instead of those so far; if one is refused, all stays as it is."""
        self.viewer = self.model.fold_in(given)
        ids = self.model.ratings_.item_ids[self.viewer.at].tolist()
        self.ratings = dict(zip(ids, self.viewer.values.tolist(), strict=True))

    def rate(self, title, rating):
        """One more rating, or another one for a title rated before; `message` says so, or what is wrong with it."""
        find = self.model.ratings_.item_id
        self.message = refused(lambda: self.take(self.ratings | {find(title): rating}))
        self.message = self.message or f"Rated {rating:g}: {self.label(find(title))}"

    def remove(self, item):
        """The rating of this item id is taken back."""
        self.take({other: rating for other, rating in self.ratings.items() if other != item})
        self.message = f"No longer rated: {self.label(item)}"

    def clear(self):
        """All ratings are taken back, and what an imported list said was seen is forgotten."""
        self.seen = ()
        self.take({})
        self.message = "Nothing is rated now."

    def read(self, name, content):
        """The ratings of a list that somebody keeps, given as a file's name and bytes, join those so far."""
        self.message = refused(lambda: self.join(Path(name).name, content)) or self.message

    def join(self, name, content):
        """As `read`, but what is wrong with the file is an error; `message` counts what was taken and what was not."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            own = ct.load_mal_export(path, self.model.ratings_)
        self.take(self.ratings | own.ratings)
        self.seen = (*self.seen, *own.seen)
        rest = dict(own.dropped)
        unknown = rest.pop("unknown titles", 0) + rest.pop("unknown titles without a score", 0)
        unrated = rest.pop("titles without a score", 0)
        counts = {"Taken": len(own.ratings), "unknown titles": unknown, "without a score": unrated} | rest
        self.message = "; ".join(f"{what} {count}" for what, count in counts.items() if count or what == "Taken")

    def title(self, item):
        return self.model.ratings_.title(item)

    def label(self, item):
        """The title, with its English name where that is known and says more."""
        names = self.model.ratings_.named(self.model.ratings_.item_cols([item]))
        title, english = str(names["title"][0]), str(names.get("english", [""])[0])
        return title if ct.plain_title(english) in ("", ct.plain_title(title)) else f"{title} · {english}"

    def hint(self):
        """What to rate next, where the ratings so far tell little; "" else."""
        if len(self.ratings) < 3 or min(self.ratings.values()) <= self.model.global_mean_:
            return ""
        return "All are high: rate something you disliked, too."

    def search(self, text, n=6):
        """(item ids, note) for a part of a title; while nothing is typed, the most rated ones."""
        ratings, text = self.model.ratings_, text.strip()[:60]
        if not text:
            popular = np.argsort(-ratings.item_counts, kind="stable")
            left = [item for item in ratings.item_ids[popular].tolist() if item not in self.ratings]
            return left[:n], "Type, or take one of the most rated:"
        found = ratings.find_titles(text, n + 1)
        if found.empty:
            return [], f"No title is like “{text}”."
        if (found["match"] == "similar").all():
            note = f"Nothing has “{text}” in it; closest:"
        else:
            note = "Choose one:" if len(found) <= n else f"The first {n}; type more for others:"
        return found["item_id"].tolist()[:n], note

    def list(self):
        """The list as `recommend` gives it."""
        return self.viewer.recommend(
            self.n, exclude=self.seen, exclude_genres=list(self.leave_out), genres=self.genres,
            one_per_work=self.one_per_work, diversity=self.diversity, similarity=self.likeness,
            uncertainty=self.can_doubt,
        )  # fmt: skip

    def rows(self):
        """The list as (item id, its title and English name, prediction as text)."""
        table = self.list()
        scores = [f"{score:.2f}" for score in table[self.viewer.rating.model.score_name]]
        if self.can_doubt:
            scores = [f"{score} ± {doubt:.2f}" for score, doubt in zip(scores, table["uncertainty"], strict=True)]
        return [(item, self.label(item), score) for item, score in zip(table["item_id"].tolist(), scores, strict=True)]

    def reasons(self, item, n=4):
        """The parts that a prediction is the sum of, as (what, its part, rounded as shown)."""
        why = ct.explain(self.model, self.viewer, item, n)
        given = [f", rated {rating:g}" if rating == rating else "" for rating in why["rating"]]
        return [
            (name.split(": the mean")[0] + rating, round(part, 2) + 0.0)  # + 0.0: no minus before a zero
            for name, rating, part in zip(why["reason"], given, why["contribution"], strict=True)
        ]

    def heading(self):
        """What stands above the list, and what its numbers are."""
        who = "Your list" if self.ratings else "No rating yet: the list for somebody of whom nothing is known"
        doubt = " ± what so few ratings leave open" if self.can_doubt else ""
        shown, order = (model.score_name.replace("_", " ") for model in (self.viewer.rating.model, self.model))
        return who, shown + doubt + (f"; in the order of the {order}" if order != shown else "")

    # -- as it stands without a kernel: every number is derived from a rounded one, so that it is the same each time --

    def __repr__(self):
        head, unit = self.heading()
        rated = "; ".join(f"{self.title(item)} {rating:g}" for item, rating in self.ratings.items()) or "nothing"
        said = [text for text in (self.message, f"Rated: {rated}", self.hint()) if text]
        lines = [*said, "", f"{head} ({unit})"]
        rows = self.rows()
        lines += [f"{rank:>3}  {score}  {title}" for rank, (_, title, score) in enumerate(rows, 1)]
        if rows:
            lines += ["", f"Why {rows[0][1]}: {self.what_is_explained(rows[0][0])} is the sum of"]
            lines += [f"{part:>+8.2f}  {what}" for what, part in self.reasons(rows[0][0])]
        return "\n".join(lines)

    def what_is_explained(self, item):
        """The score that the reasons sum to, and what it is."""
        return f"its {self.model.score_name.replace('_', ' ')}, {self.viewer.predict([item])[0]:.2f},"

    def reasons_html(self, item):
        """A prediction's parts as a table with bars, to the right what raises it; what everybody gets has none."""
        parts = self.reasons(item)
        bars = [0.0 if what.startswith("what everybody gets") else part for what, part in parts]
        longest = max([abs(part) for part in bars] + [0.01])
        lines = ""
        for (what, part), bar in zip(parts, bars, strict=True):
            width, color = round(BAR * abs(bar) / longest), MORE if bar > 0 else LESS
            block = (
                f'<div style="width: {width}px; height: 12px; background-color: {color}; margin-left: {{}}px"></div>'
            )
            less, more = (block.format(BAR - width), "") if bar < 0 else ("", block.format(0) if bar > 0 else "")
            side = f'style="padding: 3px 0; border: none; width: {BAR}px; min-width: {BAR}px'
            lines += (
                f'<tr><th scope="row" style="{LEFT}; font-weight: normal; {CUT}; max-width: 240px">{escape(what)}</th>'
            )
            lines += f'<td style="{RIGHT}">{part:+.2f}</td>'
            lines += f'<td {side}; border-right: 1px solid #888888">{less}</td><td {side}">{more}</td></tr>'
        return (
            f"<p><b>Why {escape(self.title(item))}?</b> Because {self.what_is_explained(item)} is the sum of</p>"
            f'<table style="border-collapse: collapse; margin: 0 0 12px">{lines}</table>'
        )

    def html(self):
        """The page as it stands: ratings, list, and the reasons of its first title."""
        head, unit = self.heading()
        rated = [f"{escape(self.title(item))}: {rating:g}" for item, rating in self.ratings.items()]
        lines, rows = "", self.rows()
        for rank, (_, title, score) in enumerate(rows, 1):
            lines += f'<tr><td style="{RIGHT}">{rank}</td><td style="{LEFT}">{escape(title)}</td>'
            lines += f'<td style="{RIGHT}">{score}</td></tr>'
        return (
            '<div class="tex2jax_ignore">'  # a title with two dollar signs is no formula
            + (f"<p>{escape(self.message)}</p>" if self.message else "")
            + (f"<p><b>Rated so far</b> {'; '.join(rated)}</p>" if rated else "")
            + (f"<p>{self.hint()}</p>" if self.hint() else "")
            + f"<p><b>{head}</b> ({unit})</p>"
            + f'<table style="border-collapse: collapse; margin: 0 0 12px">{lines}</table>'
            + (self.reasons_html(rows[0][0]) if rows else "<p>Nothing is left to list.</p>")
            + "</div>"
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": repr(self), "text/html": self.html()}


class Page:
    """The widgets of a page: what is typed and clicked goes to `own`, and what `own` says is shown."""

    def __init__(self, own):
        self.own, self.shown, self.slots, self.ranks_before = own, 8, [], {}
        self.grow = widgets.Layout(flex="1 1 0", width="auto", min_width="0")
        self.box = widgets.HBox(
            [
                widgets.VBox(self.rating_side(), layout=widgets.Layout(width="340px", flex="0 0 auto")),
                widgets.VBox(
                    self.list_side(), layout=widgets.Layout(flex="1 1 440px", min_width="0", padding="0 0 0 24px")
                ),
            ],
            layout=widgets.Layout(flex_flow="row wrap"),
        ).add_class("own-page")
        self.look()
        self.pick()
        self.offer()
        self.show()
        self.listen()

    def rating_side(self):
        """What is typed and rated, from top to bottom: in this order the Tab key goes through it."""
        low, high = self.own.model.ratings_.scale
        step = 0.5 if (np.append(self.own.model.ratings_.values, (low, high)) % 1).any() else 1.0
        self.middle = low + round((high - low) / 2 / step) * step
        ends = {"min": low, "max": high, "step": step, "value": self.middle}
        wide, named = widgets.Layout(width="auto"), {"description_width": "56px"}
        self.search = widgets.Text(description="Search", placeholder="part of a title", layout=wide, style=named)
        self.found = widgets.Select(description="Title", rows=6, layout=wide, style=named)
        # The number carries the label that a screen reader says; the slider, which can have none, moves with it.
        field = widgets.Layout(width="112px", flex="0 0 auto")
        self.rating = widgets.BoundedFloatText(description="Rating", layout=field, style=named, **ends)
        self.slider = widgets.FloatSlider(readout=False, layout=self.grow, **ends)
        widgets.link((self.rating, "value"), (self.slider, "value"))
        self.rate = widgets.Button(button_style="primary", layout=widgets.Layout(width="84px", flex="0 0 auto"))
        self.upload = widgets.FileUpload(
            description=IMPORT, accept=".xml,.gz,.csv", icon="", layout=widgets.Layout(width="112px", flex="0 0 auto"),
            tooltip="an export of MyAnimeList (XML, packed or not), or a CSV with titles and scores; it stays here",
        )  # fmt: skip
        self.clear = widgets.Button(description="clear all", layout=widgets.Layout(width="80px", flex="0 0 auto"))
        self.more = widgets.Button(description="show more of them", layout=wide)
        self.note, self.chosen, self.message, self.hint = (widgets.HTML() for _ in range(4))
        self.rated_head = widgets.HTML(layout=self.grow)
        self.rated = widgets.VBox(layout=widgets.Layout(max_height="204px", overflow="auto")).add_class("own-rated")
        return [
            widgets.HTML(STYLE + "<h4>Rate a title</h4>"), self.search, self.note, self.found, self.chosen,
            widgets.HBox([self.rating, self.slider, self.rate]), self.message,
            widgets.HBox([self.rated_head, self.upload, self.clear]), self.hint, self.rated,
        ]  # fmt: skip

    def list_side(self):
        """What the list may hold, the list, and the reasons of the chosen title."""
        genres = [] if self.own.genres is None else self.own.genres.names.tolist()
        self.one = widgets.Checkbox(
            description="only one title of a work", value=self.own.one_per_work, indent=False,
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self.vary = widgets.Dropdown(
            description="Variety", options=[("none", 0.0), ("a little", 0.5), ("more", 1.0), ("most", 2.0)],
            layout=widgets.Layout(width="140px"), style={"description_width": "48px"},
        )  # fmt: skip
        self.leave = widgets.Dropdown(
            description="Without", options=[("choose a genre", ""), *zip(genres, genres, strict=True)],
            layout=widgets.Layout(width="200px"), style={"description_width": "56px"},
        )  # fmt: skip
        self.reasons, self.list_head = widgets.HTML(), widgets.HTML()
        self.left_out = widgets.HTML(layout=widgets.Layout(display="none"))
        self.ranks, self.moves, self.scores = (widgets.HTML().add_class("own-column") for _ in range(3))
        self.moves.add_class("own-moves")
        self.titles = widgets.ToggleButtons(layout=self.grow).add_class("own-titles")
        options = [self.one, *([self.vary] if self.own.can_vary else []), *([self.leave] if genres else [])]
        columns = [self.ranks, self.titles, self.moves, self.scores]
        return [
            self.list_head,
            widgets.HBox(options, layout=widgets.Layout(flex_flow="row wrap", margin="0 0 6px")), self.left_out,
            widgets.HBox(columns, layout=widgets.Layout(overflow="visible")), self.reasons,
        ]  # fmt: skip

    def listen(self):
        """Whatever is typed, chosen or clicked is heard."""
        self.search.observe(self.look, "value")
        self.found.observe(self.pick, "value")
        self.rating.observe(self.offer, "value")
        self.rate.on_click(self.give)
        self.upload.observe(self.take_list, "value")
        self.clear.on_click(self.take_all_back)
        self.more.on_click(self.show_more)
        self.titles.observe(self.explain, "value")
        self.one.observe(self.choose, "value")
        self.vary.observe(self.choose, "value")
        self.leave.observe(self.leave_out, "value")

    @property
    def ratings(self):
        """What was rated: {item id: rating points}."""
        return self.own.ratings

    def look(self, change=None):
        """Titles for what is typed, the rated ones with their rating."""
        ids, note = self.own.search(self.search.value)
        given = [f"rated {self.ratings[item]:g}: " if item in self.ratings else "" for item in ids]
        labels = [rating + self.own.label(item) for item, rating in zip(ids, given, strict=True)]
        self.found.options = list(zip(labels, ids, strict=True))
        self.found.value = ids[0] if ids else None
        self.note.value = f'<div role="status">{escape(note)}</div>'
        self.rate.disabled = not ids

    def pick(self, change=None):
        """The chosen title in full; one that is rated already brings its rating along, others start in the middle."""
        item = self.found.value
        self.chosen.value = "" if item is None else f"<b>{escape(self.own.label(item))}</b>"
        self.rating.value = self.ratings.get(item, self.middle)

    def offer(self, change=None):
        self.rate.description = f"Rate it {self.rating.value:g}"

    def give(self, button):
        self.own.rate(self.found.value, self.rating.value)
        self.search.value = ""  # ready for the next one
        self.show()
        self.look()
        self.search.focus()

    def take_back(self, button):
        self.own.remove(button.item)
        self.show()
        self.look()

    def take_all_back(self, button):
        self.own.clear()
        self.show()
        self.look()

    def take_list(self, change):
        """A chosen file; then the button is made ready for another one."""
        for file in change["new"]:
            self.own.read(file["name"], bytes(file["content"]))
            self.upload.value = ()
            self.show()
            self.look()

    def show_more(self, button):
        self.shown *= 2
        self.show()

    def choose(self, change):
        self.own.one_per_work, self.own.diversity = self.one.value, self.vary.value
        self.show()

    def leave_out(self, change):
        """A genre is left out, or let in again if it was."""
        if change["new"]:
            self.own.leave_out = tuple(sorted({*self.own.leave_out} ^ {change["new"]}))
            names = escape(", ".join(self.own.leave_out))
            self.left_out.layout.display = None if names else "none"
            self.left_out.value = f"without {names}; choose one again to let it in" if names else ""
            self.leave.value = ""
            self.show()

    def show(self):
        """Everything anew but the search."""
        own, rows = self.own, self.own.rows()
        (head, unit), chosen = own.heading(), self.titles.value
        self.message.value = f'<div role="status">{escape(own.message)}</div>'
        self.hint.value = f'<div role="status">{own.hint()}</div>'
        self.hint.layout.display = None if own.hint() else "none"
        self.list_head.value = f'<h4>{head} <small style="font-weight: normal">({unit})</small></h4>'
        ids = [item for item, _, _ in rows]
        self.titles.tooltips = [title for _, title, _ in rows]
        self.titles.options = [(title, item) for item, title, _ in rows]
        self.titles.value = chosen if chosen in ids else ids[0] if ids else None
        column = lambda cells: "".join(f"<div>{cell}</div>" for cell in cells)  # noqa: E731
        self.ranks.value = column(range(1, len(ids) + 1))
        self.moves.value = column(self.move(item, rank) for rank, item in enumerate(ids))
        self.scores.value = column(score for _, _, score in rows)
        self.ranks_before = {item: rank for rank, item in enumerate(ids)}
        self.explain()
        self.show_rated()

    def move(self, item, rank):
        """How far a title has come up or gone down by the last change."""
        rise = self.ranks_before.get(item, rank) - rank
        if self.ranks_before and item not in self.ranks_before:
            return "<small>new</small>"
        return f"<small>{'▲▼'[rise < 0]} {abs(rise)}</small>" if rise else ""

    def explain(self, change=None):
        item = self.titles.value
        self.reasons.value = "Nothing is left to list." if item is None else self.own.reasons_html(item)

    def show_rated(self):
        """The ratings so far, the latest first, each with a button that takes it back."""
        latest = list(self.ratings.items())[::-1][: self.shown]
        while len(self.slots) < len(latest):
            button = widgets.Button(icon="times", layout=widgets.Layout(width="32px", flex="0 0 auto"))
            button.on_click(self.take_back)
            words = widgets.HTML(layout=self.grow)
            self.slots.append(widgets.HBox([words, button], layout=widgets.Layout(align_items="center")))
        for (item, rating), slot in zip(latest, self.slots, strict=False):
            words, button = slot.children
            label = self.own.label(item)
            words.value = f'<div class="own-one-line" title="{escape(label)}"><b>{rating:g}</b> {escape(label)}</div>'
            button.item, button.tooltip = item, f"remove {label}"  # without a description, the tooltip is its name
        left = [self.more] if len(self.ratings) > len(latest) else []
        self.rated.children = self.slots[: len(latest)] + left
        self.rated_head.value = f"<h4>Rated: {len(self.ratings)}</h4>"

    def __repr__(self):
        return repr(self.own)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self.box._repr_mimebundle_() | self.own._repr_mimebundle_()
