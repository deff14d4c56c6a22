"""What is said to mypyc changes nothing for Python."""

from __future__ import annotations

from minikafka_client.native import mypyc_attr


def test_python_leaves_a_class_as_it_is() -> None:
    class Plain:
        pass

    assert mypyc_attr(acyclic=True)(Plain) is Plain
