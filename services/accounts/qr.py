"""What a telephone reads off a screen. Pure."""

import io

import segno


def picture_of(uri: str) -> str:
    """The QR code of an address as an SVG that scales to whatever frame it is put into, dark on light."""
    drawn = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(
        drawn, kind="svg", border=4, omitsize=True, light="#fff", dark="#000", xmldecl=False, nl=False
    )
    return drawn.getvalue().decode()
