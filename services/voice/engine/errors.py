"""Everything that can go wrong in the engine, each with a reason that programs can branch on.

Callers branch on `EngineError.reason` (stable, UPPER_SNAKE) and show `str(error)` to people.
`EngineError.details` holds the same facts as strings, for structured error reports.
"""

from typing import ClassVar, Self


class EngineError(Exception):
    """The voice engine failed."""

    reason: ClassVar[str] = "ENGINE"

    def __init__(self, message: str = "", **details: str) -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])
        self.details = details


class RecordingError(EngineError):
    """The recording cannot be used."""

    reason = "RECORDING"

    def about(self, index: int, count: int) -> Self:
        """The same, naming the recording (from 0) it is about where there are several."""
        if count == 1:
            return self
        return type(self)(f"recording {index + 1} of {count}: {self}", **self.details, recording=str(index))


class NotAudio(RecordingError):
    """This file holds no audio that can be decoded."""

    reason = "NOT_AUDIO"


class Truncated(RecordingError):
    """The file is cut off: it announces more audio than it holds."""

    reason = "TRUNCATED"


class Silent(RecordingError):
    """The recording holds no sound."""

    reason = "SILENT"


class TooShort(RecordingError):
    """The recording holds too little speech."""

    reason = "TOO_SHORT"


class TooNoisy(RecordingError):
    """There is too much noise behind the speech."""

    reason = "TOO_NOISY"


class TooReverberant(RecordingError):
    """The room echoes too much."""

    reason = "TOO_REVERBERANT"


class MusicBehind(RecordingError):
    """There is too much music behind the speech."""

    reason = "MUSIC"


class ClippedBadly(RecordingError):
    """Too much of the speech is clipped."""

    reason = "CLIPPED_BADLY"


class TwoSpeakers(RecordingError):
    """More than one person speaks in the recordings."""

    reason = "TWO_SPEAKERS"


class TranscriptUnclear(RecordingError):
    """Too little of what is said in the recordings could be made out."""

    reason = "TRANSCRIPT_UNCLEAR"


class TooLong(RecordingError):
    """The recordings are longer than the limit."""

    reason = "TOO_LONG"


class TextError(EngineError):
    """The text cannot be spoken."""

    reason = "TEXT"


class TextEmpty(TextError):
    """The text holds nothing that can be spoken."""

    reason = "TEXT_EMPTY"


class TextUnreadable(TextError):
    """A part of the text cannot be read out."""

    reason = "TEXT_UNREADABLE"


class TextUnsupportedScript(TextError):
    """The text has letters of a script that this engine cannot speak."""

    reason = "TEXT_UNSUPPORTED_SCRIPT"


class LanguageUnsupported(TextError):
    """The language is not spoken by this engine."""

    reason = "LANGUAGE_UNSUPPORTED"


class SsmlMalformed(TextError):
    """The SSML cannot be read."""

    reason = "SSML_MALFORMED"

    @classmethod
    def at(cls, what: str, element: str, place: int) -> "SsmlMalformed":
        """The refusal of an element that begins at this character."""
        return cls(f"{what} (character {place})", element=element, position=str(place))


class SsmlUnsupported(TextError):
    """The SSML asks for what this engine does not do."""

    reason = "SSML_UNSUPPORTED"

    @classmethod
    def at(cls, what: str, element: str, place: int) -> "SsmlUnsupported":
        """The refusal of what an element that begins at this character asks for."""
        return cls(f"{what} at character {place} is not supported", element=element, position=str(place))


class SpeedOutOfRange(EngineError):
    """The speaking speed is out of range."""

    reason = "SPEED_OUT_OF_RANGE"


class TierUnsupported(EngineError):
    """This engine does not speak at this tier."""

    reason = "TIER_UNSUPPORTED"


class FormatUnsupported(EngineError):
    """This audio format, or this sample rate in it, cannot be written."""

    reason = "FORMAT_UNSUPPORTED"


class AssetError(EngineError):
    """The models cannot be used."""

    reason = "ASSET"


class AssetMissing(AssetError):
    """The models are not prepared: run `voicemesh models`."""

    reason = "ASSET_MISSING"


class AssetCorrupt(AssetError):
    """A model file is not what it should be."""

    reason = "ASSET_CORRUPT"


class AssetUnavailable(AssetError):
    """A package that holds a model could not be fetched."""

    reason = "ASSET_UNAVAILABLE"


class ArtefactCorrupt(EngineError):
    """These bytes are no voice artefact, or a damaged one."""

    reason = "ARTEFACT_CORRUPT"


class ArtefactMismatch(EngineError):
    """The voice was made by another engine or other models: learn it again."""

    reason = "ARTEFACT_MISMATCH"


class EngineUnknown(EngineError):
    """No installed package brings an engine of this name."""

    reason = "ENGINE_UNKNOWN"


class EngineUnusable(EngineError):
    """What this engine needs is not installed, or not fit for it."""

    reason = "ENGINE_UNUSABLE"


class RecogniserMissing(EngineError):
    """Speech recognition is not installed, and what is said was not given."""

    reason = "RECOGNISER_MISSING"


class ConversionUnavailable(EngineError):
    """This engine cannot say a recording again in another voice."""

    reason = "CONVERSION_UNAVAILABLE"


class RefinementUnavailable(EngineError):
    """This engine, as it is installed, cannot be fitted to a person."""

    reason = "REFINEMENT_UNAVAILABLE"


class Cancelled(EngineError):
    """The work was cancelled by its caller."""

    reason = "CANCELLED"


class EngineFailed(EngineError):
    """The voice engine failed at this; the platform's log says why."""

    reason = "ENGINE_FAILED"
