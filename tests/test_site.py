"""The site: links and anchors lead somewhere, figures have texts, formulas are drawn, nothing is fetched."""

import json
import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import build_site
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import plots
import pytest

ROOT = build_site.ROOT
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
VOID = {"meta", "link", "img", "br", "hr", "input"}
NOT_PROSE = {"code", "pre", "annotation", "style", "script"}


class Read(HTMLParser):
    """What the checks ask of a page: (tag, attributes) of every element, ids, and the text outside code."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.ids, self.prose, self.open, self.css = [], [], "", [], ""
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, f"{path.name}: not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if not NOT_PROSE.intersection(self.open):
            self.prose += data
        if "style" in self.open:
            self.css += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build_site.build(folder)
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Read(path) for path in sorted(site.rglob("*.html"))}


def test_every_lesson_and_readme_has_a_page(site):
    for path in [ROOT / "README.md", *LESSONS]:
        assert (site / path.relative_to(ROOT).with_suffix(".html")).is_file()


def test_every_link_and_anchor_leads_somewhere(site, pages):
    for path, page in pages.items():
        for attributes in page.all("a"):
            parts = urlsplit(attributes["href"])
            if parts.scheme:
                assert parts.scheme in {"http", "https"}, attributes
                assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc), attributes
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name}: {attributes['href']}"
            assert target.is_relative_to(site)
            if parts.fragment:
                assert unquote(parts.fragment) in pages[target].ids, f"{path.name}: {attributes['href']}"


def test_no_id_is_given_twice(pages):
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path.name


def test_every_image_is_there_and_has_an_alternative_text(pages):
    for path, page in pages.items():
        for image in page.all("img"):
            assert len(image.get("alt", "")) > 20, f"{path.name}: {image.get('alt')}"
            assert image["src"].startswith("data:image/") or (path.parent / image["src"]).is_file(), path.name


def test_nothing_comes_from_a_network(site, pages):
    for path, page in pages.items():
        assert not page.all("script") + page.all("iframe") + page.all("object"), path.name
        loaded = [link["href"] for link in page.all("link")] + [image["src"] for image in page.all("img")]
        assert not [url[:50] for url in loaded if re.match(r"\w+:", url) and not url.startswith("data:")], path.name
        assert "url(" not in page.css, path.name
        assert "@import" not in page.css, path.name
    style = (site / "style.css").read_text(encoding="utf-8")
    assert re.findall(r"url\((.*?)\)", style) == ['"math.ttf"']
    assert "@import" not in style
    assert (site / "math.ttf").stat().st_size > 100_000


def test_every_formula_is_drawn(pages, site):
    for path, page in pages.items():
        left = re.search(r"\$|\\[a-zA-Z]+|\\\\", page.prose)
        assert not left, f"{path.name}: {page.prose[left.start() - 40 : left.end() + 40]!r}"
    for path in LESSONS:
        text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
        elements = pages[site / "notebooks" / f"{path.stem}.html"].elements
        blocks = [tag for tag, attributes in elements if attributes.get("class") == "formula"]
        assert len(blocks) == len(re.findall(r"\$\$.+?\$\$", text, re.S)), path.stem


def test_solutions_stay_folded(pages, site):
    for path in LESSONS:
        text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
        folded = pages[site / "notebooks" / f"{path.stem}.html"].all("details")
        assert len(folded) == text.count("<details>")
        assert not any("open" in attributes for attributes in folded)


def test_the_index_lists_the_lessons_and_they_follow_each_other(pages, site):
    listed = [attributes["href"] for attributes in pages[site / "index.html"].all("a")]
    names = [f"{lesson.stem}.html" for lesson in LESSONS]
    assert [name for name in listed if name.startswith("notebooks/")] == [f"notebooks/{name}" for name in names]
    for before, after in pairwise(names):
        steps = pages[site / "notebooks" / before].all("a")
        assert {a["href"] for a in steps if a.get("rel") == "next"} == {f"../notebooks/{after}"}
        steps = pages[site / "notebooks" / after].all("a")
        assert {a["href"] for a in steps if a.get("rel") == "prev"} == {f"../notebooks/{before}"}


@cache
def anchors(path):
    return {name for _, name, _ in build_site.Page(path).contents}


TEXTS = sorted(
    [*ROOT.glob("*.md"), *(path for name in ("docs", "benchmarks", "data") for path in (ROOT / name).glob("*.md"))]
)


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
    defined = re.findall(r"(?m)^\[[^\]]+\]: (\S+)", text)  # [name]: target, at the end of a page
    for link in [*re.findall(r"\]\(([^)\s]+)\)", text), *defined]:
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            continue
        path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert path.is_file(), link
        assert not parts.fragment or unquote(parts.fragment) in anchors(path), link


# ---- The builder itself ----


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A page of a made-up repository from the text of a Markdown file in it."""
    monkeypatch.setattr(build_site, "ROOT", tmp_path)

    def make(text, name="page.md"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return build_site.Page(tmp_path / name)

    return make


def test_a_formula_without_mathml_is_named(page):
    with pytest.raises(ValueError, match=r"no MathML for the formula .*\\\\nosuchcommand"):
        page(r"A formula $\nosuchcommand x$.")


@pytest.mark.parametrize("link", ["absent.md", "../../etc", "folder/"])
def test_a_link_to_nothing_is_named(page, link):
    with pytest.raises(ValueError, match=r"page\.md links to .*, which is no file of this repository"):
        page(f"[there]({link})")


def test_links_are_rewritten(page, tmp_path):
    for name in ("table.py", "data.csv", "other.md", "01_a.ipynb"):
        (tmp_path / name).write_text("", encoding="utf-8")
    html = page("[a](table.py) [b](data.csv) [c](other.md#x-y) [d](01_a.ipynb#X-y) [e](https://example.org/x.md)").html
    links = re.findall('href="(.*?)"', html)
    assert links == ["table.py.html", "data.csv", "other.html#x-y", "01_a.html#X-y", "https://example.org/x.md"]


def test_headings_are_anchored_as_where_they_are_read(page, tmp_path):
    text = "# It's `here`, now\n\n## Twice\n\n## Twice\n\n## What $p_u$ means\n"
    assert [anchor for _, anchor, _ in page(text).contents[:3]] == ["its-here-now", "twice", "twice-1"]
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    contents = page(json.dumps(notebook), "a.ipynb").contents
    assert [anchor for _, anchor, _ in contents] == ["It's-here,-now", "Twice", "Twice-1", "What-$p_u$-means"]


def test_a_figure_keeps_its_own_text_and_else_gets_one_that_says_what_was_drawn(monkeypatch):
    monkeypatch.setattr(build_site, "docstrings", lambda: {"plot_it": "Two lines."})

    def figure(source, metadata):
        output = nbformat.v4.new_output("display_data", {"image/png": ""}, metadata=metadata)
        return nbformat.v4.new_code_cell(source, outputs=[output])

    cells = [
        nbformat.v4.new_markdown_cell("# Title\n\n## A section\n\nText."),
        figure("lesson.plot_it(1)", {"image/png": {"alt": "Its own text."}}),
        figure("lesson.plot_it(1)", {}),
        figure("ax.plot(1)", {}),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    build_site.describe_figures(notebook)
    own, drawn, plain = (cell.outputs[0].metadata["image/png"]["alt"] for cell in notebook.cells[1:])
    assert own == "Its own text."
    assert "A section" in drawn
    assert "Two lines." in drawn
    assert "A section" in plain


def test_the_first_sentence_skips_a_bold_lead_in(page):
    assert page("# T\n\n**Do.** Fill a table. Then rest.").first_sentence == "Fill a table."
    assert page("# T\n\nNo title\nneeded: a line. More.").first_sentence == "No title\nneeded: a line."
    assert page("No heading.").first_sentence == ""


def test_the_path_of_a_page():
    assert build_site.page_name(ROOT / "data" / "README.md") == Path("data/README.html")
    assert build_site.page_name(ROOT / "content_table.py") == Path("content_table.py.html")
    assert build_site.page_name(ROOT / "benchmarks" / "results" / "honest.png") == Path("benchmarks/results/honest.png")


def test_the_name_of_a_lesson_is_a_link_and_punctuation_stays_with_its_formula(page, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "05_als.ipynb").write_text("", encoding="utf-8")
    html = page("`05_als` and `05` ($p_u$, $q$).").html
    assert html.startswith('<p><a href="notebooks/05_als.html"><code>05_als</code></a> and <code>05</code> ')
    assert re.findall(r'<span class="whole">(.).*?</math>(.*?)</span>', html) == [("(", ","), ("<", ").")]


# ---- What a figure says of itself ----


def test_a_figure_says_its_title_its_axes_and_its_series():
    fig, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2], label=r"$\lambda$ = 1")
    left.set(title="Left", xlabel="passes", ylabel="RMSE\n(points)")
    left.legend()
    fig.colorbar(right.imshow([[1, 2]]), label="rating (points)")
    fig.suptitle("It falls")
    said = plots.describe(fig)
    plt.close(fig)
    assert said == "It falls. Left. Across: passes; up: RMSE (points). Colour: rating (points). Shown: lambda = 1."


def test_a_figure_reads_its_formulas_aloud_and_finds_a_title_at_the_side():
    fig, ax = plt.subplots()
    ax.plot([1, 2], label=r"$e\cdot p$")
    ax.plot([2, 1], label=r"$\|A\|_2$: X, one")
    ax.set_title("Left is better", loc="right")
    ax.legend()
    said = plots.describe(fig)
    plt.close(fig)
    assert said == "Left is better. Shown: e times p; |A|_2: X, one."


def test_a_shown_figure_carries_its_text(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", lambda fig, metadata: shown.append(metadata["image/png"]["alt"]))
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    for alt, seen in ((None, ""), (None, "It rises."), ("Its own text.", "")):
        fig, ax = plt.subplots()
        ax.set_title("A title")
        plots.show(fig, alt, seen=seen)
        assert not plt.fignum_exists(fig.number)
    assert shown == ["A title.", "A title. It rises.", "Its own text."]


def test_verdicts_are_told_in_words():
    table = pd.DataFrame({"model": ["ALS, biases", "SGD", "mean"], "verdict": ["better", "tie", "better"]})
    assert plots.by_verdict(table) == "better: “ALS, biases”, “mean”; tie: “SGD”"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_stored_figure_carries_its_own_text(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    figures = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    texts = [output.metadata.get("image/png", {}).get("alt", "") for output in figures]
    assert all(len(text) > 60 for text in texts), texts
    assert len(set(texts)) == len(texts)
