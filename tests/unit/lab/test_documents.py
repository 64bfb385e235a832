"""Texts of resource files: found by key, changed without disturbing their neighbours."""

from typing import Any

import yaml

from lab.controlplane import documents as files
from lab.controlplane.documents import Document, key_of_document, with_documents
from lab.controlplane.registry import Key

TWO = """# the first
kind: A
metadata: {name: one}
---   # and the second
kind: B
metadata: {name: two, namespace: there}  # kept as it is
"""

ONE_KEY = ("A", "default", "one")
TWO_KEY = ("B", "there", "two")


def doc(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, **more}}


def documents(text: str) -> dict[Key, Document]:
    return files.documents(yaml.safe_load_all(text))


def with_document(text: str, key: Key, document: Document | None) -> str:
    return with_documents(text, {key: document})


def test_every_document_is_found_by_kind_namespace_and_name() -> None:
    assert list(documents(TWO + "---\n---\njust text\n")) == [ONE_KEY, TWO_KEY]
    assert list(documents("kind: List\nitems: [{kind: A, metadata: {name: one}}]\n")) == [ONE_KEY]
    assert list(documents("kind: List\n")) == []


def test_a_namespace_lives_in_itself() -> None:
    assert key_of_document(doc("Namespace", "shop")) == ("Namespace", "shop", "shop")


def test_what_has_no_name_is_no_resource() -> None:
    assert key_of_document({"kind": "A"}) is None
    assert key_of_document({"kind": "A", "metadata": {"name": 7}}) is None
    assert key_of_document({"metadata": {"name": "x"}}) is None


def test_replacing_one_keeps_every_character_of_the_other() -> None:
    changed = with_document(TWO, ONE_KEY, doc("A", "one", labels={"x": "y"}))
    assert documents(changed)[ONE_KEY]["metadata"]["labels"] == {"x": "y"}
    assert changed.endswith("kind: B\nmetadata: {name: two, namespace: there}  # kept as it is\n")


def test_removing_the_last_leaves_nothing() -> None:
    once = with_document(TWO, ONE_KEY, None)
    assert list(documents(once)) == [TWO_KEY]
    assert with_document(once, TWO_KEY, None) == ""
    assert with_document(once, ONE_KEY, None) == once


def test_a_new_one_goes_to_the_end() -> None:
    assert list(documents(with_document(TWO.rstrip(), ("C", "default", "three"), doc("C", "three")))) == [
        ONE_KEY,
        TWO_KEY,
        ("C", "default", "three"),
    ]
    assert documents(with_document("", ONE_KEY, doc("A", "one"))) == {ONE_KEY: doc("A", "one")}


def test_an_item_of_a_list_is_replaced_inside_it() -> None:
    text = yaml.safe_dump({"kind": "List", "items": [doc("A", "one"), doc("A", "other")]})
    changed = with_document(text, ONE_KEY, doc("A", "one", labels={}))
    assert yaml.safe_load(changed)["items"] == [doc("A", "one", labels={}), doc("A", "other")]
    assert list(documents(with_document(text, ONE_KEY, None))) == [("A", "default", "other")]


def test_a_certificate_inside_a_document_is_no_boundary() -> None:
    text = "kind: A\nmetadata: {name: one}\ndata: |\n  -----BEGIN CERTIFICATE-----\n"
    assert list(documents(with_document(text, TWO_KEY, doc("B", "two", namespace="there")))) == [
        ONE_KEY,
        TWO_KEY,
    ]


def test_several_change_at_once() -> None:
    changed = with_documents(
        TWO,
        {
            ONE_KEY: None,
            TWO_KEY: doc("B", "two", namespace="there", labels={}),
            ("C", "default", "c"): doc("C", "c"),
        },
    )
    assert list(documents(changed)) == [TWO_KEY, ("C", "default", "c")]
    assert documents(changed)[TWO_KEY]["metadata"]["labels"] == {}


def test_a_text_whose_keys_are_known_is_not_read() -> None:
    first, second = files.split(TWO)
    known = {first: (ONE_KEY,), second: (("not", "what it", "says"),)}
    assert with_documents(TWO, {TWO_KEY: None}, known) == TWO.replace("---   # and the second", "---")
