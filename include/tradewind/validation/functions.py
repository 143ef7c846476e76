"""The project's functions that the YAML names: they are there, they run, and what they return fits the task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.spec.problems import Path, Problem, nearest
from tradewind.validation.python import functions, not_running, problem_at_function
from tradewind.validation.subject import NamedFile, Subject
from tradewind.validation.user_code import Answer, request_heuristic, request_model, request_space


@dataclass(frozen=True, slots=True)
class Asked:
    """A function to look at.

    :param path: where the YAML names it
    :param reference: ``file.py:function``
    :param request: what :func:`tradewind.validation.user_code.look` is asked
    """

    subject: Subject
    path: Path
    reference: str
    request: Mapping[str, Any]


def asked(subject: Subject) -> list[Asked]:
    """The functions of a pipeline whose files can be read."""
    train, found = subject.spec.train, []
    if train and subject.guessed(("train", "params"), ("train", "model"), ("train", "task")):
        train = None  # what the model function would get is not known
    if train:
        wanted = request_model(subject.root, train.model, train.params, task=train.task)
        found.append(Asked(subject, ("train", "model"), train.model, wanted))
    if train and train.search:
        wanted = request_space(subject.root, train, train.search)
        found.append(Asked(subject, ("train", "search", "space"), train.search.space, wanted))
    for name, rule in subject.spec.verdict.heuristics.items():
        path: Path = ("verdict", "heuristics", name)
        found.append(Asked(subject, path, rule, request_heuristic(subject.root, rule)))
    return [one for one in found if _file(one) is not None]


def check_function(one: Asked, answer: Answer) -> Iterator[Problem]:
    """Everything that is wrong with a function.

    :param answer: what came of looking at it
    """
    file = _file(one)
    if file is None:
        return
    if answer.get("error"):
        yield _failed(one, file, answer["error"])
    elif answer.get("missing"):
        message = f"its function cannot be looked at: Optuna is not installed here; {answer['missing']}"
        yield one.subject.at(one.path, message, severity="note")
    else:
        said = _OF_KIND[one.request["kind"]](answer)
        if said:
            name = one.reference.rpartition(":")[2]
            yield problem_at_function(file, name, f"{name} {said}")


def _of_model(answer: Answer) -> str:
    if answer["lacks"]:
        lacks = " and no ".join(answer["lacks"])
        kinds = {"predict_proba": "classifier", "predict": "regressor", "fit": "model"}
        kind = kinds[answer["lacks"][-1]]
        return f"returns {answer['returns']}, which has no {lacks}; a {kind} that has one is needed"
    return f"returns {answer['returns']}: {answer['instead']}" if answer["instead"] else ""


def _of_other(answer: Answer) -> str:
    return str(answer.get("flaw") or "")


_OF_KIND: Mapping[str, Callable[[Answer], str]] = {"model": _of_model, "space": _of_other, "heuristic": _of_other}


def _file(one: Asked) -> NamedFile | None:
    return one.subject.file(one.reference.rpartition(":")[0], one.path)


def _failed(one: Asked, file: NamedFile, error: Answer) -> Problem:
    name, _, function = one.reference.rpartition(":")
    if f"has no function {function}" in error["message"]:
        near = nearest(function, functions(file))
        suggestion = f"{name}:{near}" if near else None
        return one.subject.at(one.path, f"{name} has no function `{function}`", suggestion=suggestion)
    if error.get("file"):
        return not_running(file, error, one.subject.shown_inside(error["file"]))
    return one.subject.at(one.path, str(error["message"]).removeprefix(f"model {name}:{function}: "))
