"""Every reason that the platform gives for a refusal, found in the code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.local.replies import REPLIES
from services.voice.engine import errors as engine
from tests.docs.documents import ROOT

_RAISED = re.compile(
    r"(?:InvalidArgument|Unauthenticated|PermissionDenied|NotFound|AlreadyExists|FailedPrecondition|Aborted"
    r"|ResourceExhausted|Unavailable|DeadlineExceeded)(?:\.of)?\(\s*\"([A-Z_]+)\""
)
_NAMED = re.compile(r"reason=\"([A-Z_]+)\"|id_of\([^)]*\"([A-Z_]+)\"\)")
_FAILED = re.compile(r"(?:GiveUp|Failure)\(\"([A-Z_]+)\"")

_OF_LEARNING = (
    engine.TooShort,
    engine.TooNoisy,
    engine.TooReverberant,
    engine.MusicBehind,
    engine.ClippedBadly,
    engine.TwoSpeakers,
)


def of_errors() -> set[str]:
    """The reasons in `ErrorInfo`."""
    found = {name for source in _sources() for name in _RAISED.findall(source)}
    named = {name for source in _sources() for match in _NAMED.findall(source) for name in match if name}
    text = {each.reason for each in engine.TextError.__subclasses__()}  # Raised with the engine's own reason.
    # Of the recording that a conversion is asked for; what is too short or too bad to learn from can be converted.
    learning = {each.reason for each in _OF_LEARNING}
    recordings = {each.reason for each in engine.RecordingError.__subclasses__()} - learning
    unable = {engine.RecogniserMissing.reason, engine.ConversionUnavailable.reason}
    return found | named | text | recordings | unable | {reply.reason for reply in REPLIES}


def of_failures() -> set[str]:
    """The reasons in `Failure` of a voice or speech."""
    given_up = {name for source in _sources() for name in _FAILED.findall(source)}
    # What is said in it matters to a conversion, which is no job.
    recordings = {each.reason for each in engine.RecordingError.__subclasses__()} - {engine.TranscriptUnclear.reason}
    # What only the engine itself finds out, once it is asked to speak.
    spoken = (
        engine.TextEmpty,
        engine.TextUnreadable,
        engine.ArtefactMismatch,
        engine.ArtefactCorrupt,
        engine.EngineFailed,
        engine.RefinementUnavailable,
        engine.TierUnsupported,
    )
    return given_up | recordings | {each.reason for each in spoken}


def notes() -> set[str]:
    """The codes of the notes in a recording report."""
    return {code for source in _sources() for code in re.findall(r"\bNote\(\s*\"([A-Z_]+)\"", source)}


def _sources() -> Iterator[str]:
    for file in sorted((ROOT / "services").rglob("*.py")):
        yield file.read_text("utf-8")
