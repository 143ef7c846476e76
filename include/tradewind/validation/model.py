"""The model function: it is there, it runs with the YAML's parameters, and returns a classifier."""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.spec.problems import Path, Problem, nearest
from tradewind.validation.python import functions, not_running, problem_at_function
from tradewind.validation.subject import Subject
from tradewind.validation.user_code import Answer

_FIELD: Path = ("train", "model")


def check_model(subject: Subject, answer: Answer) -> Iterator[Problem]:
    """Everything that is wrong with the model function.

    :param answer: what came of calling it (:func:`tradewind.validation.user_code.look`)
    """
    train = subject.spec.train
    name, _, function = train.model.rpartition(":") if train else ("", "", "")
    file = subject.file(name, _FIELD)
    if file is None:
        return
    if error := answer.get("error"):
        known = functions(file)
        if f"has no function {function}" in error["message"]:
            near = nearest(function, known)
            suggestion = f"{name}:{near}" if near else None
            yield subject.at(_FIELD, f"{name} has no function `{function}`", suggestion=suggestion)
        elif error.get("file"):
            yield not_running(file, error, subject.shown_inside(error["file"]))
        else:
            yield subject.at(_FIELD, str(error["message"]).removeprefix(f"model {name}:{function}: "))
    elif answer["lacks"]:
        message = f"{function} returns {answer['returns']}, which has no {' and no '.join(answer['lacks'])}"
        yield problem_at_function(file, function, f"{message}; a classifier that has one is needed")
