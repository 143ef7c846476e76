"""Arithmetic of models whose result does not depend on how many threads share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def limit_threads(*, fitting: bool = False) -> Iterator[None]:
    """Let BLAS, and joblib where models predict, use one thread.

    BLAS adds up in other pieces with other numbers of threads, and a forest adds up its trees in the order in which
    threads finish. Trees that are fitted beside each other, and OpenMP in scikit-learn's gradient boosting, give the
    same in any number of threads, so these keep them.

    :param fitting: joblib keeps its threads and processes
    """
    import joblib
    from threadpoolctl import threadpool_limits

    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(limits=1, user_api="blas"))
        if not fitting:
            stack.enter_context(joblib.parallel_config(backend="sequential"))
        yield
