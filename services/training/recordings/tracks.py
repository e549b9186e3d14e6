"""TCX and GPX: XML tracks, read event by event.

Only a handful of elements mean something here, so the parser's events are followed with a path of open
elements and no tree is built: memory does not grow with the file beyond its points, and a file that breaks
off has given everything before the break. Names are compared without their prefix, because every exporter
picks its own.

A recording never needs a DTD or entities; both are refused (defusedxml), as they only ever serve attacks.
Spaces before the XML declaration are the one damage that can be mended without guessing, and with
keep_going it is.
"""

import codecs
from typing import Final, Literal
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

import msgspec
from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.expatreader import create_parser  # type: ignore[import-untyped]

from services.training.recordings.draft import Draft, ReadingStopped, epoch_ms, label, number_of, whole
from services.training.recordings.recording import Format

_MAX_DEPTH: Final = 64
_MAX_TEXT: Final = 200
_BLANKS: Final = b" \t\r\n"

Meaning = Literal["time", "bpm", "distance", "power", "cadence", "sport", "device"]


class Dialect(msgspec.Struct, frozen=True):
    """What one of the two formats calls things.

    The element of a point, and (parent, element) of each text we want.
    """

    format: Format
    point: str
    texts: dict[tuple[str, str], Meaning]
    attributes: dict[tuple[str, str], Meaning]


_DIALECTS: Final = {
    "TrainingCenterDatabase": Dialect(
        format="TCX",
        point="Trackpoint",
        texts={
            ("Trackpoint", "Time"): "time",
            ("HeartRateBpm", "Value"): "bpm",
            ("Trackpoint", "DistanceMeters"): "distance",
            ("Trackpoint", "Cadence"): "cadence",
            ("TPX", "RunCadence"): "cadence",
            ("TPX", "Watts"): "power",
            ("Creator", "Name"): "device",
        },
        attributes={("Activity", "Sport"): "sport"},
    ),
    "gpx": Dialect(
        format="GPX",
        point="trkpt",
        texts={
            ("trkpt", "time"): "time",
            ("TrackPointExtension", "hr"): "bpm",
            ("extensions", "hr"): "bpm",
            ("TrackPointExtension", "cad"): "cadence",
            ("extensions", "cad"): "cadence",
            ("extensions", "power"): "power",
            ("trk", "type"): "sport",
        },
        attributes={("gpx", "creator"): "device"},
    ),
}


def read_tracks(data: bytes, draft: Draft) -> Format:
    """Fill the draft and say which of the formats it was.

    Raises ReadingStopped, or RecordingError for other XML.
    """
    handler = _Tracks(draft)
    parser = create_parser(forbid_dtd=True)
    parser.setContentHandler(handler)
    try:
        parser.feed(_from_declaration(data, draft))
        parser.close()
    except SAXParseException as cause:
        place = _place(cause.getLineNumber(), cause.getColumnNumber())
        raise ReadingStopped(place, f"not well-formed XML ({cause.getMessage()})") from cause
    except DefusedXmlException as cause:
        place = _place(parser.getLineNumber(), parser.getColumnNumber())
        raise ReadingStopped(place, "a document type or entity is declared, which recordings never need") from cause
    except (ValueError, LookupError, OverflowError) as cause:
        place = _place(parser.getLineNumber(), parser.getColumnNumber())
        raise ReadingStopped(place, f"cannot be read: {cause}") from cause
    finally:
        draft.sport, draft.device = label(handler.sport), label(handler.device)
    return handler.dialect.format


def _from_declaration(data: bytes, draft: Draft) -> bytes:
    """The document without blanks before its XML declaration, if the caller goes on in spite of them."""
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    body = data[len(mark) :]
    stripped = body.lstrip(_BLANKS)
    if len(stripped) == len(body) or not stripped.startswith(b"<?xml"):
        return data
    blanks = body[: len(body) - len(stripped)]
    draft.damaged(
        _place(blanks.count(b"\n") + 1, len(blanks) - (blanks.rfind(b"\n") + 1)),
        "not well-formed XML (spaces stand before the XML declaration)",
    )
    return mark + stripped


def _place(line: int | None, column: int | None) -> str:
    """Both counted from 1, as editors do; the parser counts columns from 0."""
    return f"line {line or 1} column {(column or 0) + 1}"


class _Tracks(ContentHandler):
    """Follows the open elements and adds a point to the draft whenever one closes."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.dialect = _DIALECTS["gpx"]  # until the root element says otherwise
        self.sport = self.device = ""
        self._path: list[str] = []
        self._text: list[str] | None = None
        self._in_point = False
        self._at_ms: int | None = None
        self._bpm: int | None = None
        self._distance_m: float | None = None
        self._power_w: int | None = None
        self._cadence: int | None = None

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - the parser calls it so
        local = name.rpartition(":")[2]
        if not self._path:
            self._begin(local)
        self._path.append(local)
        if len(self._path) > _MAX_DEPTH:
            raise ValueError(f"elements are nested more than {_MAX_DEPTH} deep")
        if local == self.dialect.point:
            self._in_point, self._at_ms, self._bpm = True, None, None
            self._distance_m = self._power_w = self._cadence = None
        for key, value in attrs.items():
            meaning = self.dialect.attributes.get((local, key))
            if meaning is not None:
                self._note(meaning, value)
        self._text = [] if self._meaning() is not None else None

    def characters(self, content: str) -> None:
        if self._text is not None and len(self._text) < _MAX_TEXT:
            self._text.append(content)

    def endElement(self, name: str) -> None:  # noqa: N802 - the parser calls it so
        meaning = self._meaning()
        if meaning is not None and self._text is not None:
            self._note(meaning, "".join(self._text)[:_MAX_TEXT].strip())
        self._text = None
        if self._path.pop() == self.dialect.point:
            self.draft.add(
                self._at_ms,
                self._bpm,
                distance_m=self._distance_m,
                power_w=self._power_w,
                cadence=self._cadence,
            )
            self._in_point = False

    def _begin(self, root: str) -> None:
        if root not in _DIALECTS:
            raise self.draft.refusal(
                f"is an XML document <{label(root)}>, and only TCX and GPX carry recordings",
                cure="Export the workout as FIT, TCX or GPX.",
            )
        self.dialect = _DIALECTS[root]

    def _meaning(self) -> Meaning | None:
        return self.dialect.texts.get((self._path[-2], self._path[-1])) if len(self._path) > 1 else None

    def _note(self, meaning: Meaning, text: str) -> None:
        """Take a value; for numbers and times raises ValueError, which the parser's place is added to."""
        if meaning == "bpm":
            if self._in_point:
                self.draft.mentions_heart_rate = True
                self._bpm = whole(text) if text else None
        elif meaning in ("distance", "power", "cadence"):
            if self._in_point and text:
                self._note_motion(meaning, number_of(text))
        elif meaning == "time":
            self._at_ms = epoch_ms(text)
        elif meaning == "sport" and not text.isdecimal():  # Strava writes a code that only Strava knows
            self.sport = self.sport or text
        elif meaning == "device":
            self.device = self.device or text

    def _note_motion(self, meaning: Meaning, value: float) -> None:
        if meaning == "distance":
            self._distance_m = value
        elif meaning == "power":
            self._power_w = round(value)
        else:
            self._cadence = round(value)
