"""The page on serving lists: its service and its nightly job, run as they stand there."""

import asyncio
import logging
import re
from pathlib import Path

import pandas as pd
import pytest

import content_table as ct

PAGE = (Path(ct.__file__).parent / "docs" / "SERVE.md").read_text(encoding="utf-8")
SERVICE, NIGHT, _ = re.findall(r"```python\n(.*?)```", PAGE, re.S)
pytest.importorskip("fastapi", reason="the service of docs/SERVE.md needs fastapi: pip install -e '.[test]'")
httpx = pytest.importorskip("httpx", reason="asking it needs httpx: pip install -e '.[test]'")


class Client:
    """Asks the service within this process, one request after the other."""

    def __init__(self, app):
        self.app = app

    def ask(self, method, url, **options):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, url, **options)

        return asyncio.run(ask())

    def get(self, url):
        return self.ask("GET", url)

    def post(self, url, json):
        return self.ask("POST", url, json=json)


def start(path, monkeypatch):
    """(a client of the service on this file, what it defines)."""
    monkeypatch.setenv("SHOP_MODEL", str(path))
    names = {"__name__": "service"}
    exec(compile(SERVICE, "service.py", "exec"), names)
    return Client(names["app"]), names


@pytest.fixture
def path(sample, tmp_path):
    ct.BiasBaseline().fit(sample).save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


@pytest.fixture
def client(path, monkeypatch):
    return start(path, monkeypatch)[0]


def test_somebody_new_gets_a_list_with_reasons(client, sample):
    answer = client.post("/lists?n=5", json={"monster": 9, str(sample.item_ids[0]): 3})
    assert answer.status_code == 200
    model = ct.BiasBaseline().fit(sample)
    viewer = model.fold_in({"monster": 9, sample.item_ids[0].item(): 3})
    rows = answer.json()
    assert [row["item_id"] for row in rows] == viewer.recommend(5)["item_id"].tolist()
    assert [row["because"] for row in rows] == [viewer.explain(row["item_id"])["reason"].tolist()[:2] for row in rows]
    assert all(1 <= row["predicted_rating"] <= 10 for row in rows)
    assert len(client.post("/lists", json={}).json()) == 10


def test_a_known_customer_gets_theirs_by_id_and_by_name(client, sample):
    expected = ct.BiasBaseline().fit(sample).recommend("viewer1362")["item_id"].tolist()
    for asked in ("viewer1362", sample.user_id("viewer1362")):
        answer = client.get(f"/lists/{asked}")
        assert answer.status_code == 200
        assert [row["item_id"] for row in answer.json()] == expected


@pytest.mark.parametrize(("body", "status", "words"), [
    ({"no such title at all": 9}, 404, "no title has 'no such title at all'"),
    ({"monster": 11}, 422, "a rating is a number from 1 to 10, got 11"),
    ({f"show {at}": 9 for at in range(1001)}, 422, "1000"),
    ({"monster": "good"}, 422, "float"), (["monster"], 422, "dict"),
])  # fmt: skip
def test_what_is_wrong_is_said(client, body, status, words):
    answer = client.post("/lists", json=body)
    assert answer.status_code == status
    assert words in answer.text


def test_nobody_and_nothing(client):
    answer = client.get("/lists/nobody")
    assert answer.status_code == 404
    assert "no user has the id or name 'nobody'" in answer.json()["detail"]
    assert client.get("/lists/viewer1362?n=0").status_code == 422
    assert client.get("/lists/viewer1362?n=1000").status_code == 422
    assert client.get("/health").json()["model"] == "BiasBaseline()"


def test_a_newer_file_is_served_and_a_damaged_one_is_not(client, path, sample, caplog):
    assert client.get("/health").json()["model"] == "BiasBaseline()"
    ct.BiasBaseline(reg=9).fit(sample).save(path)
    assert client.get("/health").json()["model"] == "BiasBaseline(reg=9)"
    ct.write_whole(path, lambda temporary: temporary.write_bytes(b"half of a model"))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert client.get("/health").json()["model"] == "BiasBaseline(reg=9)"
    assert caplog.text.count("is damaged") == 1  # it is tried once
    path.unlink()
    assert client.get("/lists/viewer1362").status_code == 200
    ct.BiasBaseline(reg=7).fit(sample).save(path)
    assert client.get("/health").json()["model"] == "BiasBaseline(reg=7)"


def test_without_a_model_it_does_not_start(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no saved model"):
        start(tmp_path / "model.npz", monkeypatch)


def test_the_night_makes_what_the_service_reads(tmp_path, monkeypatch, sample):
    monkeypatch.chdir(tmp_path)
    frame = sample.frame()
    frame["rating"] = (frame["rating"] + 1) // 2
    frame.drop(columns="title").to_csv("ratings.csv", index=False)
    kinds = ["film" if "movie" in title.lower() else "series" for title in sample.titles]
    products = {"sku": sample.item_ids, "kind": kinds, "price": range(sample.n_items), "about": sample.titles}
    pd.DataFrame(products).to_csv("products.csv", index=False)
    exec(compile(NIGHT, "rebuild.py", "exec"), {"__name__": "__main__"})
    client, names = start("model.npz", monkeypatch)
    assert client.get("/health").json()["model"].startswith("Hybrid(")
    customer = sample.user_ids[0].item()
    rows = client.get(f"/lists/{customer}?n=20").json()
    lists = pd.read_csv("lists.csv")
    assert [row["item_id"] for row in rows] == lists.loc[lists["user_id"] == customer, "item_id"].tolist()
    assert names["current"]().item_features.about == "items"
