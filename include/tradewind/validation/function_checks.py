"""The project's functions that the YAML names: they are there, they run, and what they return fits the task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.spec.problems import Path, Problem, nearest_word
from tradewind.validation.code_places import list_defined_names, problem_at_failure, problem_at_function
from tradewind.validation.user_code import Answer, request_heuristic, request_metric, request_model, request_space
from tradewind.validation.validated_pipeline import NamedFile, ValidatedPipeline


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """A function to look at.

    :param path: where the YAML names it
    :param reference: ``file.py:function``
    :param request: what :func:`tradewind.validation.user_code.run_user_code` is asked
    :param on_key: whether it is named by a key, and not by a value
    """

    subject: ValidatedPipeline
    path: Path
    reference: str
    request: Mapping[str, Any]
    on_key: bool = False


def find_function_requests(subject: ValidatedPipeline) -> list[FunctionRequest]:
    """The functions of a pipeline whose files can be read."""
    train, found = subject.spec.train, []
    if train and subject.guessed(("train", "params"), ("train", "model"), ("train", "task")):
        train = None  # what the model function would get is not known
    if train:
        wanted = request_model(subject.root, train.model, train.params, task=train.task)
        found.append(FunctionRequest(subject, ("train", "model"), train.model, wanted))
    if train and train.search:
        wanted = request_space(subject.root, train, train.search)
        found.append(FunctionRequest(subject, ("train", "search", "space"), train.search.space, wanted))
    for name, rule in subject.spec.verdict.heuristics.items():
        path: Path = ("verdict", "heuristics", name)
        found.append(FunctionRequest(subject, path, rule, request_heuristic(subject.root, rule)))
    if subject.spec.train and not subject.guessed(("train", "task")):
        for name in subject.spec.metrics:
            wanted = request_metric(subject.root, name, task=subject.spec.train.task)
            found.append(FunctionRequest(subject, ("metrics", name), name, wanted, on_key=True))
    return [one for one in found if _function_file(one) is not None]


def check_function(one: FunctionRequest, answer: Answer) -> Iterator[Problem]:
    """Everything that is wrong with a function.

    :param answer: what came of looking at it
    """
    file = _function_file(one)
    if file is None:
        return
    if answer.get("error"):
        yield _failure_problem(one, file, answer["error"])
    elif answer.get("missing"):
        message = f"its function cannot be looked at: Optuna is not installed here; {answer['missing']}"
        yield one.subject.at(one.path, message, severity="note")
    else:
        said = _FLAW_BY_KIND[one.request["kind"]](answer)
        if said:
            name = one.reference.rpartition(":")[2]
            yield problem_at_function(file, name, f"{name} {said}")


def _model_flaw(answer: Answer) -> str:
    if answer["lacks"]:
        lacks = " and no ".join(answer["lacks"])
        kinds = {"predict_proba": "classifier", "predict": "regressor", "fit": "model"}
        kind = kinds[answer["lacks"][-1]]
        return f"returns {answer['returns']}, which has no {lacks}; a {kind} that has one is needed"
    return f"returns {answer['returns']}: {answer['instead']}" if answer["instead"] else ""


def _other_flaw(answer: Answer) -> str:
    return str(answer.get("flaw") or "")


_FLAW_BY_KIND: Mapping[str, Callable[[Answer], str]] = {
    "model": _model_flaw,
    "space": _other_flaw,
    "heuristic": _other_flaw,
    "metric": _other_flaw,
}


def _function_file(one: FunctionRequest) -> NamedFile | None:
    return one.subject.file(one.reference.rpartition(":")[0], one.path)


def _failure_problem(one: FunctionRequest, file: NamedFile, error: Answer) -> Problem:
    name, _, function = one.reference.rpartition(":")
    if f"has no function {function}" in error["message"]:
        near = nearest_word(function, list_defined_names(file))
        suggestion = f"{name}:{near}" if near else None
        return one.subject.at(
            one.path, f"{name} has no function `{function}`", suggestion=suggestion, on_key=one.on_key
        )
    if error.get("file"):
        return problem_at_failure(file, error, one.subject.shown_inside(error["file"]))
    message = str(error["message"]).removeprefix(f"model {name}:{function}: ")
    return one.subject.at(one.path, message, on_key=one.on_key)
