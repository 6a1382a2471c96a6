"""A store of S3's kind over loopback, and one that fails as real ones do now and then."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import logging
import random
import re
import threading
import urllib.request
from types import SimpleNamespace

import pytest

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@pytest.fixture(scope="session")
def server():
    """The address of a store that a thread of this process serves; it has one bucket, `data`."""
    pytest.importorskip("obstore")
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    served = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    address = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/data", method="PUT")).close()
    yield address
    served.stop()


@pytest.fixture
def s3(server, monkeypatch, request):
    """The environment of the store, and a URL in it that no other test uses."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    return SimpleNamespace(url=f"s3://data/{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}/out", address=server)


class Faulty(http.server.BaseHTTPRequestHandler):
    """Hands requests on, and fails at some of them: 500 and 503, before or after they are done, and no answer."""

    protocol_version = "HTTP/1.1"

    def _hand_on(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.server.fault()
        if fault in ("500", "503"):
            self._answer(int(fault), {}, b"<Error><Code>InternalError</Code></Error>")
            return
        if fault == "silent":
            self.server.ended.wait(self.server.silence)
            self.close_connection = True
            return
        onward = http.client.HTTPConnection(self.server.onward)
        # the signature is for the address that was asked
        onward.request(self.command, self.path, body, dict(self.headers))
        answer = onward.getresponse()
        content = answer.read()
        onward.close()
        if fault == "lost":
            # done, but the answer does not arrive
            self.close_connection = True
            return
        if fault == "500 after":
            self._answer(500, {}, b"<Error><Code>InternalError</Code></Error>")
            return
        self._answer(answer.status, dict(answer.getheaders()), content)

    def _answer(self, status, headers, content):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            # whoever waited too long is gone
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _hand_on

    def log_message(self, *_):
        pass


@pytest.fixture
def faulty(server, s3, monkeypatch):
    """Start the failing store of a seed; gives what it counts, and the environment is set to it."""
    started = []

    def start(seed, share=0.1, silence=4.0):
        rng, turn = random.Random(seed), threading.Lock()
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
        proxy.daemon_threads = True
        proxy.onward, proxy.silence, proxy.ended = server.removeprefix("http://"), silence, threading.Event()
        proxy.asked, proxy.failed = 0, 0

        def fault():
            with turn:
                proxy.asked += 1
                if rng.random() >= share:
                    return None
                proxy.failed += 1
                return rng.choice(["500", "503", "500", "503", "500 after", "lost", "silent"])

        proxy.fault = fault
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        started.append(proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.setenv("AWS_TIMEOUT", "3 seconds")
        return proxy

    yield start
    for proxy in started:
        proxy.ended.set()
        proxy.shutdown()
        proxy.server_close()
