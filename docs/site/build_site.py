"""The lessons as pages that need no network: `python docs/site/build_site.py` writes them into build/site.

Reads the notebooks as they are stored and runs nothing. From the lessons, README.md and the module it follows
every link to a file of this repository, so that all links lead to pages (or copies) of the site. Formulas become
MathML, which browsers draw by themselves; the font for them is copied from the package ziamath.
"""

import argparse
import ast
import os
import re
import shutil
from functools import cache
from html import escape, unescape
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from math_core import LatexError, LatexToMathML
from nbconvert import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = Path(__file__).resolve().parents[2]
COPIED = {".png", ".svg", ".jpg", ".gif", ".csv", ".json", ".npz", ".xml"}  # linked files that stay as they are
TEX = LatexToMathML(annotation=True, fancy_error=False)
CODE = HtmlFormatter(style="default", cssclass="highlight")


# ---- Alternative texts of figures -----------------------------------------------------------------------------------


@cache
def docstrings():
    """{function: what its docstring says first}, of the helpers beside the notebooks; nothing is imported."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                first = " ".join(text.split("\n\n")[0].split()).replace("`", "")
                found[node.name] = re.sub(r": \{.*?\}", "", first)  # a note on the form of an argument
    return found


def describe_figures(notebook):
    """Give every figure that stores no alternative text one that says what was drawn, and where.

    A text that the figure brings along (metadata of its output: {"image/png": {"alt": ...}}) is kept.
    """
    section = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            section = [section, *re.findall(r"(?m)^#+ +(.*?)\s*$", cell.source)][-1]
            continue
        calls = re.findall(r"\b(\w*plot\w*)\(", cell.source)
        drawn = [docstrings()[name] for name in calls if name in docstrings()]
        text = drawn[-1] if drawn else "The text around it says what it shows."
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.metadata.setdefault("image/png", {}).setdefault("alt", f"Figure in “{section}”. {text}")


# ---- One page -------------------------------------------------------------------------------------------------------


def page_name(path):
    """Where the page (or the copy) of a repository file lies in the site: the same folder, .html at the end."""
    name = path.relative_to(ROOT)
    if name.suffix in COPIED:
        return name
    return name.with_suffix(".html") if name.suffix in {".ipynb", ".md"} else name.with_name(name.name + ".html")


def mathml(tex, block=False):
    """One formula for the browser to draw; the TeX stays inside as its annotation."""
    try:
        math = TEX.convert_with_local_state(tex.strip(), displaystyle=block)
    except LatexError as error:
        raise ValueError(f"no MathML for the formula {tex.strip()!r}: {error}") from error
    # A frame is no part of MathML Core: style.css draws it.
    math = math.replace('<menclose notation="box">', '<mrow class="boxed">').replace("</menclose>", "</mrow>")
    return f'<div class="formula">{math}</div>' if block else math


def plain(html):
    """The text of a piece of HTML, formulas as TeX between dollar signs."""
    html = re.sub(r"<math.*?<annotation[^>]*>(.*?)</annotation>.*?</math>", r"$\1$", html, flags=re.S)
    return unescape(re.sub(r"<[^>]*>", "", html)).strip()


class Page:
    """The page of one repository file: its HTML, its contents and the files that it leads to."""

    def __init__(self, path):
        self.path, self.name = path, page_name(path)
        self.contents = []  # [(level, id, HTML)] of the headings
        self.linked = []  # files of the repository
        read = {".ipynb": self.from_notebook, ".md": self.from_markdown}
        self.html = read.get(path.suffix, self.from_text)()
        self.title = plain(next((html for level, _, html in self.contents if level == 1), path.name))

    def from_notebook(self):
        notebook = nbformat.read(self.path, as_version=4)
        describe_figures(notebook)
        exporter = shared_exporter()
        exporter.page = self
        return exporter.from_notebook_node(notebook)[0]

    def from_markdown(self, text=None):
        text = self.path.read_text(encoding="utf-8") if text is None else text
        html = MarkdownWithMath(renderer=Renderer(self)).render(text)
        # A browser may break a line on either side of a formula; a comma or a bracket stays with it.
        return re.sub(r"[^\s<>;]*<math>(?:(?!</math>).)*</math>[^\s<>]*", r'<span class="whole">\g<0></span>', html)

    def from_text(self):
        """A program or another text, as it is."""
        try:
            lexer = get_lexer_for_filename(self.path.name)
        except ClassNotFound:
            lexer = TextLexer()
        name = escape(self.path.relative_to(ROOT).as_posix())
        return f"<h1>{name}</h1>" + highlight(self.path.read_text(encoding="utf-8"), lexer, CODE)

    @property
    def first_sentence(self):
        """The first sentence below the first heading, without a bold lead-in."""
        text = re.search(r"</h1>.*?<p>(?:<strong>.*?</strong>)?\s*(.*?)</p>", self.html, re.S)
        return re.split(r"(?<=[.!?])[\"”]?\s", text[1], maxsplit=1)[0] if text else ""

    def anchor(self, html):
        """A heading's id, as GitHub makes it for a Markdown file and JupyterLab for a notebook, but never twice."""
        wanted = plain(html)
        if self.path.suffix == ".md":
            wanted = re.sub(r"[^\w\- ]", "", wanted.lower())
        wanted = wanted.replace(" ", "-")
        taken = [anchor for _, anchor, _ in self.contents]
        return next(name for name in (wanted, *(f"{wanted}-{n}" for n in range(1, 99))) if name not in taken)

    def href(self, url):
        """A link of this file as a link between pages; the file at its end is noted down."""
        parts = urlsplit(url)
        if parts.scheme or parts.netloc or not parts.path:
            return url
        target = (self.path.parent / unquote(parts.path)).resolve()
        if not target.is_file() or not target.is_relative_to(ROOT):
            raise ValueError(f"{self.path.relative_to(ROOT)} links to {url}, which is no file of this repository.")
        return self.href_of(target) + (f"#{parts.fragment}" if parts.fragment else "")

    def href_of(self, target):
        self.linked.append(target)
        return os.path.relpath(page_name(target), self.name.parent).replace(os.sep, "/")


class Renderer(IPythonRenderer):
    """nbconvert's Markdown for one page: formulas as MathML, anchors, links between pages, tables in boxes."""

    def __init__(self, page):
        super().__init__(escape=False)
        self.page = page

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return mathml(body, block=True)

    def latex_environment(self, name, body):
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)

    def heading(self, text, level, **attrs):
        anchor = self.page.anchor(text)
        self.page.contents.append((level, anchor, re.sub(r"</?a\b[^>]*>", "", text)))
        link = f'<a class="anchor" href="#{escape(quote(anchor))}" aria-label="link to this section">¶</a>'
        return f'<h{level} id="{escape(anchor)}">{text}{link}</h{level}>\n'

    def link(self, text, url, title=None):
        return super().link(text, self.page.href(url), title)

    def codespan(self, text):
        """The name of a lesson in a text leads to it, as in `05_als`."""
        lesson = ROOT / "notebooks" / f"{text}.ipynb"
        code = super().codespan(text)
        named = re.fullmatch(r"\w+", text) and lesson.is_file() and lesson != self.page.path
        return f'<a href="{self.page.href_of(lesson)}">{code}</a>' if named else code

    def image(self, text, url, title=None):
        return super().image(text, self.page.href(url), title)

    def table(self, text):
        return f'<div class="scroll"><table>\n{text}</table></div>\n'


class Exporter(HTMLExporter):
    """nbconvert's HTML of a notebook's cells alone: no head, no scripts, no prompts."""

    page = None  # the one that is being written

    def __init__(self):
        super().__init__(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
        self.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
        self.register_filter("highlight_code", Highlight2HTML(pygments_lexer="ipython3", parent=self))
        self.register_filter("clean_html", lambda html: html)  # the notebooks are our own

    @pass_context
    def markdown2html(self, context, source):
        return self.page.from_markdown(source)

    def from_notebook_node(self, notebook, resources=None, **options):
        # HTMLExporter's own would parse the whole page once more, to find images without alternative text.
        return TemplateExporter.from_notebook_node(self, notebook, self._init_resources(resources), **options)


@cache
def shared_exporter():
    """One for all pages: it compiles its templates once."""
    return Exporter()


# ---- The site -------------------------------------------------------------------------------------------------------


def collect(seeds):
    """The pages of these files and of every file that they lead to, and the files to copy."""
    pages, copies, waiting = {}, set(), list(seeds)
    while waiting:
        path = waiting.pop(0)
        if path.suffix in COPIED:
            copies.add(path)
        elif path not in pages:
            pages[path] = Page(path)
            waiting += pages[path].linked
    return pages, copies


def build(out, root=ROOT):
    """Write the site into the folder `out`; returns its first page."""
    lessons = sorted((root / "notebooks").glob("*.ipynb"))
    pages, copies = collect(
        [
            root / "README.md",
            *lessons,
            root / "content_table.py",
            *sorted((root / "content_table_parts").glob("[a-z]*.py")),
        ]
    )
    order = [pages[path] for path in lessons]
    others = [page for path, page in pages.items() if path not in lessons]
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined)
    template = environment.get_template("page.html.j2")

    def write(name, **values):
        up = "../" * (len(name.parts) - 1)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(template.render(up=up, lessons=order, others=others, **values), encoding="utf-8")

    for page in pages.values():
        at = order.index(page) if page in order else None
        before = order[at - 1] if at else None
        after = order[at + 1] if at is not None and at + 1 < len(order) else None
        write(page.name, page=page, before=before, after=after)
    write(Path("index.html"), page=None, before=None, after=None, about=pages[root / "README.md"])
    for path in copies:
        (out / page_name(path)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / page_name(path))
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    (out / "style.css").write_text(style + CODE.get_style_defs(".highlight") + "\n", encoding="utf-8")
    font = distribution("ziamath").locate_file("ziamath/fonts/STIXTwoMath-Regular.ttf")
    shutil.copyfile(font, out / "math.ttf")
    return out / "index.html"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("build/site"))
    print(f"Open {build(parser.parse_args().out)} in a browser.")
