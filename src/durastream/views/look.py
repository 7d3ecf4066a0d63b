"""How a viewer looks at a state: which panel, how far scrolled, what lies over it. What is looked at is the state."""

from __future__ import annotations

from dataclasses import dataclass

from durastream.events import Event
from durastream.views.progress import Progress

__all__ = ["Look"]


@dataclass(slots=True)
class Look:
    """What was chosen with the keys. The one of a viewer who has pressed none changes nothing."""

    progress: Progress | None = None
    """Where the viewer stands, if that is not the end of a run that goes on."""
    flow: tuple[float, float] | None = None
    """Events per second, and by how many seconds what is shown is older than the recorder's clock."""
    panel: str = ""
    """The panel that has the screen to itself; none when the picture is whole."""
    place: tuple[int, int] | None = None
    """From where on that panel is shown; None for its end."""
    links: bool = False
    """Whether sources can be clicked."""
    reasoning: str = "some"
    """How much of the thoughts is shown: some, all or none."""
    help: bool = False
    """Whether the keys are shown."""
    event: Event | None = None
    """The event that is shown as it is stored."""
    prompt: str | None = None
    """What has been typed of the words to search for, while they are being typed."""
