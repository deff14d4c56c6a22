"""The examples in the docstrings run, and the functions they define do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import minikafka_client

MODULES = sorted(module.name for module in pkgutil.walk_packages(minikafka_client.__path__, "minikafka_client."))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_right(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_name_is_documented_and_exported_once() -> None:
    assert len(set(minikafka_client.__all__)) == len(minikafka_client.__all__)
    for name in minikafka_client.__all__:
        assert getattr(minikafka_client, name).__doc__, name
