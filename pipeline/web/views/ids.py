"""Ids in outputs: whether they are pseudonyms, and the messages to a caller who may have asked by one."""

from collections.abc import Callable
from http import HTTPStatus

from pipeline.rules.inputs import shown_as_it_is
from pipeline.web.http.problems import Problem


def are_pseudonyms(show: Callable[[str], str]) -> bool:
    """Whether the worker shows ids of users and devices as pseudonyms, which cannot be turned back into ids.

    Args:
        show: the form of ids in outputs.
    """
    return show is not shown_as_it_is


def way_out(show: Callable[[str], str]) -> str:
    """The end of a message "nothing is known of ...". It is empty without pseudonyms.

    State is kept by the ids that clients send, so a pseudonym finds nothing.
    """
    if not are_pseudonyms(show):
        return ""
    return "; ids of users and devices in verdicts are pseudonyms: ask by the id that the clients send"


def unknown_user(user_id: str, show: Callable[[str], str]) -> Problem:
    """404: nothing is known of a user."""
    return Problem(HTTPStatus.NOT_FOUND, f"nothing is known of a user {user_id}{way_out(show)}")
