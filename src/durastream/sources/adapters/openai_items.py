"""The output items of OpenAI Responses, each whole: calls that are requested, calls that the provider runs, results."""

from __future__ import annotations

from typing import Any

from durastream.sources.adapters import Narrator, Unmapped
from durastream.sources.adapters.calls import arguments
from durastream.sources.adapters.providers import request

__all__ = ["cite", "is_served", "parts", "tell", "title"]

_SERVED = {
    "code_interpreter_call": "run code",
    "file_search_call": "file search",
    "image_generation_call": "make an image",
    "mcp_call": "mcp",
    "mcp_list_tools": "list tools",
    "web_search_call": "web search",
}
_REQUESTED = {
    "apply_patch_call": "operation",
    "computer_call": "action",
    "custom_tool_call": "input",
    "function_call": "arguments",
    "local_shell_call": "action",
    "shell_call": "action",
}
"""What the agent is to run, and where the input stands."""

_BAD = frozenset({"failed", "incomplete"})


def is_served(item: dict[str, Any]) -> bool:
    """Whether the provider runs it, so that its end is in the stream."""
    if item["type"] == "shell_call":
        return (item.get("environment") or {}).get("type") == "container_reference"
    return item["type"] in _SERVED


def title(item: dict[str, Any]) -> str:
    match item["type"]:
        case "shell_call":
            return "; ".join(item["action"]["commands"])
        case "mcp_call":
            return f"{item['server_label']}.{item['name']}"
        case "mcp_list_tools":
            return f"list tools of {item['server_label']}"
        case kind:
            return _SERVED[kind]


def parts(message: dict[str, Any]) -> list[str]:
    """The texts of a message. A refusal is what the user reads, so it is text too."""
    return [part.get("text") or part.get("refusal") or "" for part in message["content"]]


def cite(say: Narrator, annotation: dict[str, Any]) -> None:
    """What stands behind a place of the answer: a page, a file that was searched, or one that was made."""
    match annotation["type"]:
        case "url_citation":
            say.source(url=annotation["url"], title=annotation.get("title"))
        case "file_citation":
            say.source(title=annotation["filename"])
        case "container_file_citation":
            say.artifact(annotation["filename"])
        case _:
            pass


def tell(say: Narrator, item: dict[str, Any]) -> None:
    """An item that is done and neither a message nor a thought. Raises Unmapped for one of an unknown type."""
    kind: str = item["type"]
    if kind == "shell_call" and is_served(item):  # its result is an item of its own
        say.start(item["call_id"], title(item), input=item["action"])
    elif kind in _SERVED:
        _end(say, item)
    elif kind in _REQUESTED:
        name = item.get("name") or kind.removesuffix("_call").replace("_", " ")
        request(say, item.get("call_id") or item["id"], name, arguments(item[_REQUESTED[kind]]))
    elif kind.endswith("_call_output"):
        _result(say, item)
    elif kind == "mcp_approval_request":
        say.ask(item["id"], f"{item['server_label']}.{item['name']}")
    elif kind == "mcp_approval_response":
        say.decide(item["approval_request_id"], "approved" if item["approve"] else "denied")
    else:
        raise Unmapped


def _end(say: Narrator, item: dict[str, Any]) -> None:
    """A tool that the provider ran. What it was asked for may be known only now."""
    id_, action = item["id"], item.get("action")
    action = action if type(action) is dict else {}
    asked, given = _asked(item, action), _given(item, action)
    pages = [source.get("url") for source in action.get("sources") or [action]]
    files = [(result.get("filename"), result.get("text")) for result in item.get("results") or []]
    error = item.get("error")
    if type(error) is dict:
        error = error.get("message") or error
    failed = bool(error) or item.get("status") in _BAD
    if not say.is_running(id_):
        say.start(id_, title(item), input=asked)
    elif item["type"] in ("web_search_call", "file_search_call"):
        say.progress(id_, action.get("query") or action.get("url") or item.get("queries"))
    for url in pages:
        say.source(url=url, step_id=id_, origin="tool")
    for name, text in files:
        say.source(title=name, snippet=text, step_id=id_, origin="tool")
    if item["type"] == "mcp_call" and given:
        say.cite(given, origin="tool", step_id=id_)
    say.end(
        id_, "failed" if failed else "ok", output=given or None, error=error or (item["status"] if failed else None)
    )


def _asked(item: dict[str, Any], action: dict[str, Any]) -> Any:
    match item["type"]:
        case "mcp_call":
            return arguments(item["arguments"])
        case "code_interpreter_call":
            return {"code": item["code"]}
        case "file_search_call":
            return {"queries": item["queries"]}
        case _:
            return action or None


def _given(item: dict[str, Any], action: dict[str, Any]) -> Any:
    match item["type"]:
        case "web_search_call":
            return action.get("sources")
        case "mcp_list_tools":
            return [tool["name"] for tool in item["tools"]]
        case "code_interpreter_call":
            return item.get("outputs")
        case "file_search_call":
            return item.get("results")
        case "image_generation_call":  # the image itself is in the raw bytes
            return item.get("revised_prompt")
        case _:
            return item.get("output")


def _result(say: Narrator, item: dict[str, Any]) -> None:
    """What came out of a call: seldom in the stream, and then it is known how the call ended."""
    given = item.get("output")
    error = item["status"] if item.get("status") in _BAD else None
    if item["type"] == "shell_call_output":
        for part in given or []:
            code = part["outcome"].get("exit_code")
            if code != 0:
                error = "timeout" if code is None else f"exit code {code}"
    name = item["type"].removesuffix("_call_output").replace("_", " ")
    say.end(item["call_id"], "failed" if error else "ok", output=given, error=error, title=name)
