"""The letter to a person: what was asked, what was done, and what is known, in plain words.

It says what the request's certificate says and nothing more, so it holds no personal data: the privacy team adds name
and address when it sends it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dlfd_ops.audit.statement import Erasure, RequestCertificate, RequestStatement
from dlfd_ops.audit.timeline import count
from dlfd_ops.deletion.deadlines import POLICIES
from dlfd_ops.deletion.erasure import FOREIGN, IN_USE, OUTSIDE, RESIDUE, SHARED, TRACKED
from dlfd_ops.evaluation.forgotten import gone_photos, requests_measured

_POLICY_GROUNDS = {
    "legal_obligation": "the law obliges us to keep some older items",
    "legal_claims": "we keep some older items because legal claims may depend on them",
    "public_interest": "we keep some older items for a task in the public interest",
    "scientific_research": "we keep some older items for scientific research",
}
_GROUNDS = {
    SHARED: "an item stays where somebody else's photo has exactly the same content",
    FOREIGN: "a store that we share with others holds items that are not ours to delete",
    OUTSIDE: "the photos as they were delivered lie in a place that this process does not change",
    TRACKED: "a model that stands beside this process stays",
    IN_USE: "some items are still needed for somebody else",
}
WIDTH = 78
"""Longest line of the text letter, in characters."""


@dataclass(frozen=True)
class Letter:
    """Both forms of a letter.

    Attributes:
        html: one self-contained page: no script, nothing from the network.
        text: the same as plain text.
    """

    html: str
    text: str


@dataclass(frozen=True)
class _Section:
    """A heading and its paragraphs; ``points`` are listed below them."""

    heading: str
    paragraphs: tuple[str, ...]
    points: tuple[str, ...] = ()


def write_letter(statement: RequestStatement, certificate: str, digest: str) -> Letter:
    """Return the letter about a request; the same certificate gives the same letter.

    Args:
        statement: what the certificate states.
        certificate: name of the certificate's file.
        digest: SHA-256 of that file.
    """
    said = statement.predicate
    environment = Environment(
        loader=PackageLoader("dlfd_ops.audit"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrapped"] = _wrapped
    content = {
        "request_id": said.request.request_id,
        "facts": _facts(said),
        "sections": _sections(said, certificate),
        "certificate": certificate,
        "digest": digest,
    }
    html, text = (environment.get_template(f"letter.{kind}.j2").render(content) for kind in ("html", "txt"))
    return Letter(html, text)


def _facts(said: RequestCertificate) -> dict[str, str]:
    request = said.request
    policy = POLICIES.get(request.legal_basis)
    done = _day(request.fulfilled_at)
    return {
        "Request": request.request_id,
        "Received": _day(request.received_at),
        "To be answered by": _day(request.due_at.isoformat()),
        "Done": f"{done}, after the date above" if request.late else done,
        "Legal basis": policy.law if policy else request.legal_basis,
        "Answered by": f"version {said.version} of the model {said.model_name}",
    }


def _sections(said: RequestCertificate, certificate: str) -> tuple[_Section, ...]:
    return (_asked(said), _done(said), _evidence(said), _erased(said), _check(certificate))


def _asked(said: RequestCertificate) -> _Section:
    whom = (
        "that our model, which analyses photos of faces, forgets you"
        if said.request.target == "subject"
        else "that our model, which analyses photos of faces, forgets the photos that you named"
    )
    return _Section("What you asked for", (f"You asked {whom}.",))


def _trained(said: RequestCertificate) -> bool | None:
    """Return whether the model had been trained with photos of this request; None where the certificate is silent.

    A request's own numbers are measured on its training photos, so a request without one has none.
    """
    measured = requests_measured(said.metrics)
    return said.request.request_id in measured if measured else None


def _done(said: RequestCertificate) -> _Section:
    yours = said.request.target == "subject"
    what, ready = "your photos" if yours else "these photos", _day(said.request.fulfilled_at)
    done = {
        True: f"We changed the model so that it forgets what it had learned from {what}. The changed model has been "
        f"ready since {ready}.",
        False: f"By our records the model had not been trained with {'any photo of you' if yours else 'these photos'}, "
        f"so it had learned nothing from {what} that it could forget. Since {ready} your request counts as answered.",
        None: f"We changed the model so that it forgets what it may have learned from {what}. The changed model has "
        f"been ready since {ready}.",
    }
    late = (
        "This was later than the date by which we should have answered. We apologise for the delay.",
    ) * said.request.late
    return _Section(
        "What we did",
        (done[_trained(said)], *_left(said), *late),
    )


def _left(said: RequestCertificate) -> tuple[str, ...]:
    """Say what the model could not be made to forget."""
    photos = gone_photos(said.metrics).get(said.request.request_id)
    if not photos:
        return ()
    return (
        f"There is something we could not do. The model had also been trained with {count(photos, 'further photo')} "
        "that we no longer have. A model can be made to forget only what can be shown to it, so it may still know what "
        "it had learned from there.",
    )


def _evidence(said: RequestCertificate) -> _Section:
    if _trained(said) is False:
        what = "photos of you" if said.request.target == "subject" else "these photos"
        looked = f"We looked for {what} among the photos that the model was trained with, and found none there."
        others = (
            "Other photos serve to test the model, and as examples of people it does not know when it is changed to "
            "forget somebody."
        )
        return _Section(
            "How we know", (looked, others, "This is evidence and not proof: we keep these records ourselves.")
        )
    return _Section(
        "How we know",
        (
            "A model that remembers a photo is less surprised by it than by a photo of a stranger. Our test uses that: "
            "given one forgotten photo and one photo of somebody the model has never seen, it has to say which is "
            "which. Guessing blindly is right in 50 % of such pairs.",
            *_attack(said),
            "Our limits for this test were kept.",
            "This is evidence and not proof. A cleverer test might find traces that ours does not, and we carried out "
            "the test ourselves.",
        ),
    )


def _attack(said: RequestCertificate) -> tuple[str, ...]:
    # Where the original is gone, the model before is the one that the unlearning started from.
    before = said.metrics.get("original.mia_auc", said.metrics.get("parent.mia_auc"))
    after = said.metrics.get("unlearned.mia_auc")
    if before is None or after is None:
        return ()
    return (
        f"Before the change the test was right in {_percent(before)} of the pairs, after it in {_percent(after)}. "
        "These figures are for yours together with all other photos that the model has been made to forget.",
    )


def _erased(said: RequestCertificate) -> _Section:
    heading = "What became of the stored photos"
    if not said.erasures:
        return _Section(
            heading,
            (
                "This letter is about what the model has learned. The deletion of stored photos is a separate step, "
                "and none is recorded for this request yet. You will get a new letter when it is.",
            ),
        )
    kept = dict.fromkeys(_why(one.ground) for erasure in _keeping(said.erasures) for one in erasure.kept)
    first, *later = said.erasures
    more = (_later(erasure) for erasure in later if erasure.removed)
    told = (_deletion(first), *more, *(f"We did not delete everything: {why}." for why in kept))
    left = tuple(dict.fromkeys(place for erasure in said.erasures for place in erasure.not_reached))
    if not left:
        return _Section(heading, (*told, "We know of no place that we could not reach."))
    return _Section(heading, (*told, "We could not reach the following places, where copies may remain:"), left)


def _keeping(erasures: Sequence[Erasure]) -> list[Erasure]:
    """Return those that left something which no later one has removed: what the newest says of a store holds."""
    newest = {store.store: erasure for erasure in erasures for store in erasure.stores}
    return [
        erasure
        for erasure in erasures
        if any(store.kept and newest[store.store] is erasure for store in erasure.stores)
    ]


def _deletion(erasure: Erasure) -> str:
    return (
        f"On {_day(erasure.at)} we deleted the photos, and what had been made from them, from the stores that we can "
        f"reach: {_removed(erasure)}."
    )


def _later(erasure: Erasure) -> str:
    stores = ", ".join(store.store for store in erasure.stores if store.removed)
    return f"On {_day(erasure.at)} we deleted more ({stores}): {_removed(erasure)}."


def _removed(erasure: Erasure) -> str:
    others = erasure.requests - 1
    together = f", for this and {count(others, 'other request')} together" if others else ""
    return f"{count(erasure.removed, 'stored item')} in all{together}"


def _why(ground: str) -> str:
    """Return in plain words why something was kept; an unknown ground stays as it is."""
    if ground.startswith(RESIDUE):
        reason = ground.removeprefix(f"{RESIDUE}: ")
        return _POLICY_GROUNDS.get(reason, f"some items were kept for this reason: {reason}")
    return _GROUNDS.get(ground, f"some items were kept for this reason: {ground}")


def _check(certificate: str) -> _Section:
    return _Section(
        "How you can have this checked",
        (
            f"This letter belongs to a signed certificate, the file {certificate}. You, a supervisory authority or an "
            "expert of your choice may ask us for it, together with our public key. The signature can be checked "
            "without our help and without our software.",
            "If you are not satisfied with this answer you may complain to your data protection authority.",
        ),
    )


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _day(moment: str) -> str:
    """Return an ISO 8601 date or moment as "20 November 2026"; a text that is none stays as it is."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    found = found if found.tzinfo is None else found.astimezone(UTC)
    return f"{found.day} {found:%B %Y}"


def _wrapped(text: str, bullet: str = "") -> str:
    below = " " * len(bullet)
    return textwrap.fill(text, WIDTH, initial_indent=bullet, subsequent_indent=below, break_long_words=False)
