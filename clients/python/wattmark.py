# Copyright the wattmark authors. SPDX-License-Identifier: Apache-2.0
"""Mark what a benchmark measures, at a wattmark daemon: joules per token of its measured phase.

    import wattmark

    with wattmark.window(run="c64") as w:
        outputs = run_the_measured_phase()
        w.count(completed=64, total_input_tokens=65536, total_output_tokens=16384)
    if w.result:
        print(w.result["joules_per_output_token"], "J per output token")

One file, standard library only, Python 3.9 or newer. Nothing here raises into a benchmark unless strict=True: what
goes wrong is in w.error and logged as a warning, and w.result is None.

The daemon is at WATTMARK_ADDR (host:port, a URL, or unix:/path.sock), by default 127.0.0.1:9844. Where it asks for a
token, WATTMARK_TOKEN_FILE names the file that holds it.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import os
import socket
import ssl
import time
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Type, Union
from urllib.parse import quote, unquote, urlencode, urlsplit

__version__ = "0.1.0"
__all__ = ["Client", "Error", "Window", "energy", "mark_end", "mark_start", "measure", "window"]

log = logging.getLogger("wattmark")

Result = Dict[str, Any]
"""What the daemon answers; docs/api.md describes the keys. A number that is not known is None."""

_MOST = 64 << 20  # bytes of an answer


class Error(Exception):
    """What went wrong. code is the daemon's (docs/api.md, Problems), or "" where it gave no answer."""

    def __init__(self, text: str, code: str = "", status: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """A daemon.

    addr: host:port, a URL (http, https; user and password may stand in it), or unix:/path.sock.
    token: for daemons with --write-token-file; default: what the file WATTMARK_TOKEN_FILE holds.
    timeout: seconds that one call may take; mark-end answers within 2.5 s whatever hangs.
    strict: raise Error instead of returning None.
    """

    def __init__(
        self,
        addr: Optional[str] = None,
        *,
        token: Optional[str] = None,
        timeout: float = 10.0,
        strict: bool = False,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        self.addr = addr or os.environ.get("WATTMARK_ADDR") or "127.0.0.1:9844"
        self.timeout = timeout
        self.strict = strict
        self._token = token
        self._ssl = ssl_context

    def mark_start(self, run: Optional[str] = None, **fields: Any) -> Optional[Result]:
        """Open a window now. Fields as docs/api.md has them: gpus, expected_num_gpus, role, at_unix."""
        return self._lenient("POST", "/v1/mark-start", dict(fields, run=run))

    def mark_end(self, run: Optional[str] = None, **fields: Any) -> Optional[Result]:
        """End a window now and return its result. Fields: completed, total_input_tokens, total_output_tokens, or
        benchmark (a dict) or benchmark_result (a path that the daemon can read), agg_result, expected_num_gpus."""
        return self._lenient("POST", "/v1/mark-end", dict(fields, run=run))

    def measure(self, start: float, end: float, run: Optional[str] = None, **fields: Any) -> Optional[Result]:
        """Measure a span of the past that nobody marked, from start to end in Unix seconds (time.time()).
        The daemon keeps the readings of a day. Files are written as by mark_end, and so are the fields."""
        return self._lenient("POST", "/v1/measure", dict(fields, run=run, start_unix=start, end_unix=end))

    def energy(self, start: float, end: float, gpus: Union[str, List[Any], None] = None) -> Optional[Result]:
        """Measure a span of the past and write nothing."""
        query: Dict[str, Any] = {"start": repr(start), "end": repr(end)}
        if gpus is not None:
            query["gpus"] = gpus if isinstance(gpus, str) else ",".join(map(str, gpus))
        return self._lenient("GET", "/v1/energy?" + urlencode(query), None)

    def result(self, run: str) -> Optional[Result]:
        """The result of a window that has ended, or the state of an open one."""
        return self._lenient("GET", "/v1/windows/" + quote(run, safe=""), None)

    def ready(self) -> bool:
        """Whether every GPU is being read."""
        try:
            return bool(self._call("GET", "/readyz", None).get("ready"))
        except Error:
            return False

    def window(self, run: Optional[str] = None, **fields: Any) -> "Window":
        """A window from the beginning of a with block to its end; see Window. Fields as for mark_start."""
        return Window(self, run, fields)

    def _lenient(self, method: str, path: str, fields: Optional[Mapping[str, Any]]) -> Optional[Result]:
        try:
            return self._call(method, path, fields)
        except Error as err:
            if self.strict:
                raise
            log.warning("%s", err)
            return None

    def _call(self, method: str, path: str, fields: Optional[Mapping[str, Any]]) -> Result:
        """One call. Whatever can go wrong comes out as Error."""
        try:
            body = None
            if fields is not None:
                known = {name: value for name, value in fields.items() if value is not None}
                body = json.dumps(known, allow_nan=False)
            return self._exchange(method, path, body)
        except Error:
            raise
        except Exception as err:  # not only OSError: a malformed answer or address must not end a benchmark either
            raise Error(f"no answer from the wattmark daemon at {self._shown()}: {err!r}") from err

    def _exchange(self, method: str, path: str, body: Optional[str]) -> Result:
        deadline = time.monotonic() + self.timeout
        connection, headers = self._connection()
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            text = b""
            while True:  # a timeout of the socket is one of each read: this is one of all
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"not all of the answer within {self.timeout} s")
                if connection.sock is not None:
                    connection.sock.settimeout(left)
                part = answer.read1(1 << 16)
                if not part:
                    break
                text += part
                if len(text) > _MOST:
                    raise ValueError("the answer is too long")
        finally:
            connection.close()
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("the answer is not an object")
        if answer.status >= 300 and path != "/readyz":
            detail = content.get("detail") or answer.reason
            raise Error(f"wattmark: {detail}", str(content.get("code") or ""), answer.status)
        return content

    def _connection(self) -> "tuple[http.client.HTTPConnection, Dict[str, str]]":
        headers = {"Accept": "application/json", "User-Agent": "wattmark-python/" + __version__}
        token = self._token or _token_of_file()
        if self.addr.startswith("unix:"):
            if token:
                headers["Authorization"] = "Bearer " + token
            return _UnixConnection(self.addr[len("unix:") :], self.timeout), headers
        url = urlsplit(self.addr if "://" in self.addr else "http://" + self.addr)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("the address is host:port, a URL, or unix:/path.sock")
        if url.username is not None:
            pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            if token:
                headers["X-Wattmark-Token"] = token
        elif token:
            headers["Authorization"] = "Bearer " + token
        if url.scheme == "https":
            return http.client.HTTPSConnection(url.hostname, url.port, timeout=self.timeout, context=self._ssl), headers
        return http.client.HTTPConnection(url.hostname, url.port, timeout=self.timeout), headers

    def _shown(self) -> str:
        """The address without a password."""
        return self.addr.rsplit("@", 1)[-1]


def _token_of_file() -> str:
    path = os.environ.get("WATTMARK_TOKEN_FILE")
    if not path:
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def _checked(result: Result) -> Result:
    if not isinstance(result.get("power_valid"), bool):
        raise Error("wattmark: what answered is no wattmark daemon: the result has no verdict")
    return result


class Window:
    """A measured phase: `with client.window(run="c64") as w: …`, or `async with`, which does not block the loop.

    result is what the daemon answered at the end, None before and if something went wrong; error says what did.
    An exception inside the block ends the window and goes on.
    """

    def __init__(self, client: Client, run: Optional[str], fields: Mapping[str, Any]) -> None:
        self.client = client
        self.run = run
        self.result: Optional[Result] = None
        self.error: Optional[Error] = None
        self.start_unix: Optional[float] = None  # of this host's clock, in case the daemon did not take the mark
        self.end_unix: Optional[float] = None
        self._fields = dict(fields)
        self._at_end: Dict[str, Any] = {}
        self._opened = False

    def count(self, *, completed: int, total_input_tokens: int, total_output_tokens: int) -> None:
        """What was done in the window: the denominators."""
        self._at_end.update(
            completed=completed, total_input_tokens=total_input_tokens, total_output_tokens=total_output_tokens
        )

    def end_with(self, **fields: Any) -> None:
        """Further fields of mark-end: benchmark, benchmark_result, agg_result, expected_num_gpus."""
        self._at_end.update(fields)

    @property
    def valid(self) -> bool:
        """Whether the numbers may be published."""
        return bool(self.result and self.result.get("power_valid"))

    def start(self) -> "Window":
        """Open the window. `with` does it."""
        try:
            answer = self.client._call("POST", "/v1/mark-start", dict(self._fields, run=self.run))
            self.run = str(answer["run"])
            self.start_unix = float(answer["start_unix"])
            self._opened = True
        except Exception as err:
            self._failed(err)
            self.start_unix = time.time()
        return self

    def end(self) -> Optional[Result]:
        """End the window and return its result. `with` does it."""
        self.end_unix = time.time()
        try:
            if self._opened:
                self.result = _checked(self._end())
            elif self.start_unix is not None:  # the daemon may be there by now, and have been reading all along
                again = dict(self._fields, **self._at_end)
                again.update(run=self.run, start_unix=self.start_unix, end_unix=self.end_unix)
                again.pop("at_unix", None)
                self.result = _checked(self.client._call("POST", "/v1/measure", again))
            self.error = None
        except Exception as err:
            self._failed(err)
        return self.result

    def _end(self) -> Result:
        fields = dict(self._at_end, run=self.run)
        try:
            return self.client._call("POST", "/v1/mark-end", fields)
        except Error as err:
            if err.status and err.status not in (408, 429, 500, 502, 503, 504):
                raise
            # The end was then; asking again is harmless: an ended window answers with the same bytes.
            log.info("mark-end of %s is repeated: %s", self.run, err)
            return self.client._call("POST", "/v1/mark-end", dict(fields, at_unix=self.end_unix))

    def _failed(self, err: Exception) -> None:
        self.error = err if isinstance(err, Error) else Error(f"wattmark: {err!r}")
        if self.client.strict:
            raise self.error
        log.warning("window %s: %s", self.run, self.error)

    def __enter__(self) -> "Window":
        return self.start()

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            self.end()
        except Error:
            if kind is None:
                raise
            log.warning("window %s: %s", self.run, self.error)  # the block's own exception goes on

    async def __aenter__(self) -> "Window":
        import asyncio  # only who awaits pays for it

        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.__exit__, kind, error, trace)


def window(run: Optional[str] = None, *, client: Optional[Client] = None, **fields: Any) -> Window:
    """A window at the daemon of the environment; see Window."""
    return (client or Client()).window(run, **fields)


def mark_start(run: Optional[str] = None, **fields: Any) -> Optional[Result]:
    """Client.mark_start at the daemon of the environment."""
    return Client().mark_start(run, **fields)


def mark_end(run: Optional[str] = None, **fields: Any) -> Optional[Result]:
    """Client.mark_end at the daemon of the environment."""
    return Client().mark_end(run, **fields)


def measure(start: float, end: float, run: Optional[str] = None, **fields: Any) -> Optional[Result]:
    """Client.measure at the daemon of the environment."""
    return Client().measure(start, end, run, **fields)


def energy(start: float, end: float, gpus: Union[str, List[Any], None] = None) -> Optional[Result]:
    """Client.energy at the daemon of the environment."""
    return Client().energy(start, end, gpus)
