"""What stands in a restored output for a widget: HTML that shows it as it was when its cell ended.

The model of a live widget dies with its kernel, and a view without one is an error in the page.
What was printed and shown inside an Output widget belongs to that widget, not to the cell: it is
found by the message id that such a widget is given while it catches outputs.

    messages ─> of an Output widget? ─> kept under its id ─┐
             └> with a widget's view ─> HTML of its model <┘
"""

from __future__ import annotations

import base64
import html
import sys
from typing import TYPE_CHECKING, Any

from evercell.cell.outputs import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["WIDGET_VIEW", "static_widgets"]

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_HINT = "as it was when its cell finished"
_IMAGE_LIMIT = 4 << 20  # bytes of a picture that goes into the HTML


def static_widgets(messages: Iterable[Message]) -> list[Message]:
    """The messages that a cell published without any live widget, nor what is about widgets."""
    shown, inside, closed = _sorted_out(messages)
    return [
        static
        for message in shown
        if (static := _without_live_view(message, inside, closed)) is not None
    ]


def _sorted_out(
    messages: Iterable[Message],
) -> tuple[list[Message], dict[str, list[Message]], set[str]]:
    """What the cell itself shows, what its Output widgets show, and which widgets are closed."""
    shown: list[Message] = []
    inside: dict[str, list[Message]] = {}
    closed: set[str] = set()
    catching: list[str] = []  # ids of the Output widgets that catch outputs, the innermost last
    for message in messages:
        content = message.content
        match message.msg_type:
            case "comm_close":
                closed.add(content["comm_id"])
            case "comm_msg":
                state = content.get("data", {}).get("state", {})
                if state.get("msg_id"):
                    catching.append(content["comm_id"])
                elif "msg_id" in state and content["comm_id"] in catching:
                    catching.remove(content["comm_id"])
            case "clear_output" if catching:
                inside[catching[-1]] = []
            case "update_display_data":
                shown.append(message)  # finds its display by itself, wherever that is
            case _ if catching:
                inside.setdefault(catching[-1], []).append(message)
            case _:
                shown.append(message)
    return shown, inside, closed


def _without_live_view(
    message: Message, inside: Mapping[str, list[Message]], closed: set[str]
) -> Message | None:
    """The message with something static in place of a widget; None where a closed widget was."""
    data = message.content.get("data")
    if not isinstance(data, dict) or WIDGET_VIEW not in data:
        return message
    model_id = data[WIDGET_VIEW].get("model_id", "")
    if model_id in closed and message.msg_type == "display_data":
        return None
    static = {mime: value for mime, value in data.items() if mime != WIDGET_VIEW}
    if "text/html" not in static and (picture := _picture(model_id, inside)):
        static["text/html"] = picture
    if not static:
        static["text/plain"] = f"A widget, which was live {_HINT}"
    metadata = {m: v for m, v in message.content.get("metadata", {}).items() if m != WIDGET_VIEW}
    content = {**message.content, "data": static, "metadata": metadata}
    return Message(message.msg_type, content, message.metadata, message.buffers)


def _picture(model_id: str, inside: Mapping[str, list[Message]]) -> str | None:
    """HTML of the widget with this model, if it is one of ipywidgets' own kinds."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    # A private name; without it, the widget's text stands in its place.
    widget = getattr(module, "_instances", {}).get(model_id)
    if widget is None:
        return None
    picture = _Picture(inside)
    body = picture.of(widget)
    if body is None:
        return None
    hint = f'<div style="opacity:.6;font-size:smaller">{_HINT}</div>' if picture.is_control else ""
    return f"<div>{body}{hint}</div>"


class _Picture:
    """Draws a widget and those in it."""

    def __init__(self, inside: Mapping[str, list[Message]]) -> None:
        self._inside = inside
        self._above: list[Any] = []  # the boxes around the one that is drawn
        self.is_control = False  # something in it could be operated

    def of(self, widget: Any) -> str | None:
        """HTML; None for a kind that is not known."""
        kinds = [kind.__name__ for kind in type(widget).__mro__]
        for kind in kinds:
            if kind in _STILL:
                return _STILL[kind](self, widget)
            if kind in _CONTROLS:
                self.is_control = True
                return _CONTROLS[kind](widget)
        return None

    def box(self, box: Any) -> str:
        if box in self._above:
            return ""
        self._above.append(box)
        titles = getattr(box, "titles", ())
        parts = []
        for number, child in enumerate(box.children):
            title = titles[number] if number < len(titles) else ""
            heading = f"<b>{html.escape(title)}</b>" if title else ""
            body = self.of(child)
            body = html.escape(repr(child)) if body is None else body
            parts.append(f"<div>{heading}{body}</div>")
        self._above.pop()
        row = any(kind.__name__ == "HBox" for kind in type(box).__mro__)
        style = "display:flex;gap:.5em;align-items:center" if row else ""
        return f'<div style="{style}">{"".join(parts)}</div>'

    def output(self, widget: Any) -> str:
        messages = self._inside.get(widget.model_id)
        if messages is None:
            messages = [Message(output["output_type"], output) for output in widget.outputs]
        return "".join(map(_output_html, messages))


def _labelled(widget: Any, value: str) -> str:
    description = html.escape(getattr(widget, "description", "") or "")
    return f"<span>{description} {value}</span>" if description else f"<span>{value}</span>"


def _value(widget: Any) -> str:
    # Selections show the label of what is chosen.
    value = getattr(widget, "label", widget.value)
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return _labelled(widget, f"<b>{html.escape(text)}</b>")


def _check(widget: Any) -> str:
    return f"<span>{'☑' if widget.value else '☐'} {html.escape(widget.description)}</span>"


def _upload(widget: Any) -> str:
    return _labelled(widget, html.escape(", ".join(str(file["name"]) for file in widget.value)))


def _progress(widget: Any) -> str:
    low, high, value = widget.min, widget.max, widget.value
    bar = f'<progress value="{value - low}" max="{max(high - low, 0)}"></progress>'
    return _labelled(widget, f"{bar} <small>{value:g} of {high:g}</small>")


def _image(widget: Any) -> str | None:
    if widget.format == "url" or len(widget.value) > _IMAGE_LIMIT:
        return None
    data = base64.b64encode(widget.value).decode()
    return f'<img src="data:image/{html.escape(widget.format)};base64,{data}">'


def _output_html(message: Message) -> str:
    content = message.content
    if message.msg_type == "stream":
        return f"<pre>{html.escape(content['text'])}</pre>"
    if message.msg_type == "error":
        return f"<pre>{html.escape(content['ename'])}: {html.escape(content['evalue'])}</pre>"
    data = content.get("data", {})
    if "text/html" in data:
        return f"<div>{data['text/html']}</div>"
    for mime in ("image/png", "image/jpeg", "image/gif"):
        if mime in data:
            return f'<img src="data:{mime};base64,{data[mime].strip()}">'
    if "image/svg+xml" in data:
        return f"<div>{data['image/svg+xml']}</div>"
    return f"<pre>{html.escape(str(data.get('text/plain', '')))}</pre>"


# By the name of a class; the most special one of a widget's classes counts.
_STILL: dict[str, Callable[[_Picture, Any], str | None]] = {
    "Output": _Picture.output,
    "Box": _Picture.box,
    "HTML": lambda _, widget: _labelled(widget, str(widget.value)),
    "HTMLMath": lambda _, widget: _labelled(widget, str(widget.value)),
    "Label": lambda _, widget: _labelled(widget, html.escape(str(widget.value))),
    "Image": lambda _, widget: _image(widget),
    "IntProgress": lambda _, widget: _progress(widget),
    "FloatProgress": lambda _, widget: _progress(widget),
    "Audio": lambda *_: None,
    "Video": lambda *_: None,
}
_CONTROLS: dict[str, Callable[[Any], str]] = {
    "Button": lambda widget: f"<button disabled>{html.escape(widget.description)}</button>",
    "Password": lambda widget: _labelled(widget, "•••" if widget.value else ""),
    "Checkbox": _check,
    "ToggleButton": _check,
    "FileUpload": _upload,
    "ValueWidget": _value,
}
