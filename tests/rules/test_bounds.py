"""Nothing unbounded, nothing swallowed: every queue, wait, retry, cache and call to another process has a limit.

Where something is to wait for ever (a supervisor for its signal), its line says why: `# unbounded: <reason>`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.rules.sources import Source, python_files

# A call by one of these names (the last parts of a dotted one) must give one of these arguments, and not as None.
LIMITS: dict[str, tuple[str, ...]] = {
    "asyncio.Queue": ("maxsize",),
    "queue.Queue": ("maxsize",),
    "Queue": ("maxsize",),
    "LifoQueue": ("maxsize",),
    "PriorityQueue": ("maxsize",),
    "asyncio.wait": ("timeout",),
    "asyncio.wait_for": ("timeout",),
    "wait_for": ("timeout",),
    "aiohttp.ClientSession": ("timeout",),
    "ClientSession": ("timeout",),
    "aiohttp.TCPConnector": ("limit",),
    "TCPConnector": ("limit",),
    "httpx.AsyncClient": ("timeout",),
    "httpx.Client": ("timeout",),
    "AsyncClient": ("timeout",),
    "urlopen": ("timeout",),
    "socket.create_connection": ("timeout",),
    "subprocess.run": ("timeout",),
    "subprocess.call": ("timeout",),
    "subprocess.check_call": ("timeout",),
    "subprocess.check_output": ("timeout",),
    "tenacity.retry": ("stop",),
    "retry": ("stop",),
    "Retrying": ("stop",),
    "AsyncRetrying": ("stop",),
    "tenacity.Retrying": ("stop",),
    "tenacity.AsyncRetrying": ("stop",),
    "redis.from_url": ("socket_timeout", "connection_pool"),
    "Redis.from_url": ("socket_timeout", "connection_pool"),
    "Redis": ("socket_timeout", "connection_pool"),
    "redis.Redis": ("socket_timeout", "connection_pool"),
    "ThreadPoolExecutor": ("max_workers",),
    "ProcessPoolExecutor": ("max_workers",),
}
# Where the limit may be given by place: the index of its argument.
BY_PLACE = {
    "Queue": 0,
    "LifoQueue": 0,
    "PriorityQueue": 0,
    "ThreadPoolExecutor": 0,
    "ProcessPoolExecutor": 0,
    "create_connection": 1,
    "wait_for": 1,
    "urlopen": 2,
}
NEVER = ("SimpleQueue", "asyncio.timeout(None)", "os.system")


def unbounded(source: Source) -> list[str]:
    found = list(_calls_without_limit(source))
    return found + list(_caches_without_limit(source))


def _calls_without_limit(source: Source) -> Iterator[str]:
    for call in ast.walk(source.tree):
        if not isinstance(call, ast.Call) or _is_explained(source, call):
            continue
        name = _called(call)
        where = f"{source.path}:{call.lineno} {name}"
        if name.split(".")[-1] == "SimpleQueue" or name == "os.system" or ast.unparse(call) in NEVER:
            yield f"{where} has no limit at all"
        short = ".".join(name.split(".")[-2:])
        limits = LIMITS.get(short) or (LIMITS.get(name) if "." not in name else None)
        if limits and not _gives(call, limits):
            yield f"{where} without {' or '.join(limits)}"


def _is_explained(source: Source, call: ast.Call) -> bool:
    lines = source.text.splitlines()[call.lineno - 1 : call.end_lineno]
    return any(re.search(r"# unbounded: \w+ \w+", line) for line in lines)


def _called(call: ast.Call) -> str:
    """`asyncio.Queue` for `asyncio.Queue[int]()` too."""
    function = call.func.value if isinstance(call.func, ast.Subscript) else call.func
    return ast.unparse(function)


def _gives(call: ast.Call, limits: tuple[str, ...]) -> bool:
    values = [word.value for word in call.keywords if word.arg in limits or word.arg is None]
    place = BY_PLACE.get(_called(call).split(".")[-1])
    if place is not None and len(call.args) > place:
        values.append(call.args[place])
    unlimited = (None, 0, -1)
    return any(not (isinstance(value, ast.Constant) and value.value in unlimited) for value in values)


def _caches_without_limit(source: Source) -> Iterator[str]:
    for function in ast.walk(source.tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not _has_arguments(function):
            continue
        for decorator in function.decorator_list:
            text = ast.unparse(decorator).removeprefix("functools.")
            if text == "cache" or text in ("lru_cache(maxsize=None)", "lru_cache(None)"):
                yield f"{source.path}:{function.lineno} {function.name} is cached without a limit"


def _has_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    return bool(arguments.args or arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg or arguments.kwarg)


def swallowed(source: Source) -> list[str]:
    """Handlers that catch everything and do nothing with it."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else None
            silent = all(isinstance(line, ast.Pass | ast.Continue) or _is_ellipsis(line) for line in node.body)
            if caught is None or (caught in ("Exception", "BaseException") and silent):
                found.append(f"{source.path}:{node.lineno} except {caught or ''}")
        elif isinstance(node, ast.Call) and _suppresses_everything(node):
            found.append(f"{source.path}:{node.lineno} {ast.unparse(node)}")
    return found


def _suppresses_everything(call: ast.Call) -> bool:
    if ast.unparse(call.func) not in ("suppress", "contextlib.suppress"):
        return False
    return any(ast.unparse(argument) in ("Exception", "BaseException") for argument in call.args)


def _is_ellipsis(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and line.value.value is Ellipsis


def test_nothing_is_unbounded() -> None:
    found = [line for source in python_files() for line in unbounded(source)]
    assert not found, "\n".join(found)


def test_no_exception_is_swallowed() -> None:
    found = [line for source in python_files() for line in swallowed(source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "q = asyncio.Queue()",
        "q = asyncio.Queue(maxsize=0)",
        "q = queue.Queue()",
        "q = asyncio.Queue[int]()",
        "q = queue.SimpleQueue()",
        "await asyncio.wait_for(task)",
        "await asyncio.wait_for(task, None)",
        "await asyncio.wait(tasks)",
        "client = httpx.AsyncClient(base_url=url)",
        "client = httpx.AsyncClient(timeout=None)",
        "session = aiohttp.ClientSession(url)",
        "connector = aiohttp.TCPConnector(limit=0)",
        "subprocess.run(['ls'])",
        "for attempt in AsyncRetrying(wait=w): pass",
        "for attempt in tenacity.Retrying(wait=w): pass",
        "r = redis.asyncio.Redis.from_url(url)",
        "asyncio.timeout(None)",
        "await asyncio.wait(tasks)  # unbounded:",
        "@cache\ndef f(x): return x",
        "@functools.lru_cache(maxsize=None)\ndef f(self, x): return x",
    ],
)
def test_what_is_unbounded_is_found(text: str) -> None:
    assert len(unbounded(Source("x.py", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "q = asyncio.Queue(100)",
        "q = asyncio.Queue[int](maxsize=queue_size_commands)",
        "await asyncio.wait_for(task, 2)",
        "client = httpx.AsyncClient(timeout=timeout_seconds)",
        "client = httpx.AsyncClient(**options)",
        "session = aiohttp.ClientSession(timeout=ClientTimeout(total=5))",
        "connector = aiohttp.TCPConnector(limit=pool_size_connections)",
        "subprocess.run(['ls'], timeout=5)",
        "await asyncio.wait(tasks)  # unbounded: until somebody stops it",
        "for attempt in AsyncRetrying(stop=stop_after_attempt(3)): pass",
        "r = Redis.from_url(url, socket_timeout=2)",
        "@cache\ndef f(): return 1",
        "@lru_cache(maxsize=64)\ndef f(x): return x",
    ],
)
def test_what_is_bounded_is_not(text: str) -> None:
    assert unbounded(Source("x.py", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "try: f()\nexcept: g()",
        "try: f()\nexcept Exception: pass",
        "for x in y:\n    try: f()\n    except BaseException: continue",
        "with contextlib.suppress(Exception): f()",
    ],
)
def test_a_swallowed_exception_is_found(text: str) -> None:
    assert len(swallowed(Source("x.py", text))) == 1


def test_a_handled_exception_is_not() -> None:
    text = "try: f()\nexcept Exception as fault:\n    log(fault)\n    raise\ntry: f()\nexcept KeyError: pass"
    assert swallowed(Source("x.py", text)) == []
