"""A figure with a slider: it shows the position that is chosen, and without widgets a picture stays."""

import base64

import matplotlib.pyplot as plt
import plots
import pytest

PNG = b"\x89PNG"


def draw(at):
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.set(title=f"place {at}", xlabel="x", ylabel="y")
    ax.plot([0, at], [0, 1])
    return fig, "A line."


@pytest.fixture
def slide():
    return plots.Slide(draw, ["low", "high"], 1, "height")


def test_the_still_picture_says_what_it_shows(slide, monkeypatch):
    monkeypatch.setattr(plots, "widgets", None)
    data, metadata = slide._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png"}
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert data["text/plain"] == metadata["image/png"]["alt"] == "Place 1. Across: x; up: y. A line."


def test_the_slider_moves_the_picture(slide):
    controls, image = slide.box().children
    play, slider = controls.children
    assert (play.min, play.max, play.value) == (0, 1, 1)
    assert (slider.description, slider.value, [label for label, _ in slider.options]) == ("height", 1, ["low", "high"])
    assert image.value == slide.picture(1)[0]
    slider.value = 0
    assert image.value == slide.picture(0)[0]
    assert slide.picture(0)[0] != slide.picture(1)[0]


def test_the_widget_carries_its_still_picture_and_leaves_no_figure_open(slide):
    before = plt.get_fignums()
    data, _ = slide._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/plain", "image/png"} <= set(data)
    assert data["text/plain"] == "Place 1. Across: x; up: y. A line."
    assert plt.get_fignums() == before
