"""A server on this machine that can be made to fail in every way that servers do."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server does; `asked` and `wanted` list the Range and If-Range headers it was sent, None for none.

    `conditional` is False for a server that knows Range and not If-Range, `shift` moves the range that it answers with.
    """

    body: bytes
    etag: str | None = None
    modified: str | None = None
    conditional: bool = True
    ranges: bool = True
    lengths: bool = True
    shift: int = 0
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: str | None = None
    next_version: tuple[str, bytes] | None = None
    asked: list[str | None] = field(default_factory=list)
    wanted: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        do = self.server.files.get(self.path) or Behaviour(b"", statuses=[404])
        do.asked.append(self.headers["Range"])
        do.wanted.append(self.headers["If-Range"])
        if do.redirect not in (None, self.path):
            return self.answer(302, {"Location": do.redirect})
        if do.statuses:
            return self.answer(do.statuses.pop(0), {})
        begin = self.begin(do)
        if begin >= len(do.body):
            return self.answer(416, {"Content-Range": f"bytes */{len(do.body)}"})
        headers = {"Content-Length": str(len(do.body) - begin)} if do.lengths else {}
        headers |= {"ETag": do.etag} if do.etag else {}
        headers |= {"Last-Modified": do.modified} if do.modified else {}
        if begin:
            headers["Content-Range"] = f"bytes {begin + do.shift}-{len(do.body) - 1}/{len(do.body)}"
        rest = do.body[begin:]
        self.answer(206 if begin else 200, headers, rest[: do.cut_after.pop(0)] if do.cut_after else rest)
        if do.next_version:
            do.etag, do.body = do.next_version

    def begin(self, do):
        asked, wanted = self.headers["Range"], self.headers["If-Range"]
        same = not do.conditional or wanted in (None, do.modified) or (wanted == do.etag and wanted[:2] != "W/")
        return int(asked[6:-1]) if asked and do.ranges and same else 0

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keep the test's output clean."""


@contextmanager
def serving(files):
    """Serve the `Behaviour` of each path; give the address that the paths follow."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = files
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
