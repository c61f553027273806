"""Chromium without a screen, spoken to through a pipe by its DevTools protocol: no driver, no port, no package."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


class Tab:
    """One page at a time; what it asked the network for, what of it failed, and what it complained of are kept."""

    def __init__(self, read, write):
        self._read, self._write, self._id, self._left = read, write, 0, b""
        self._session = None
        self.requests, self.failures, self.complaints, self.loaded = [], [], [], False
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self(f"{domain}.enable")

    def __call__(self, method, **params):
        self._id += 1
        said = {"id": self._id, "method": method, "params": params}
        os.write(
            self._write, json.dumps(said | ({"sessionId": self._session} if self._session else {})).encode() + b"\0"
        )
        while (heard := self._hear()).get("id") != self._id:
            pass
        assert "error" not in heard, heard
        return heard["result"]

    def open(self, url, width, dark):
        """Show a page of a width in CSS pixels, in light or dark."""
        self.requests, self.failures, self.complaints, self.loaded = [], [], [], False
        self("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self("Page.navigate", url=url)
        while not self.loaded:
            self._hear()

    def value(self, expression):
        """What an expression of JavaScript comes to; the page's own policy does not reach so far."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"]["value"]

    def until(self, expression, seconds=20):
        """What an expression comes to once it comes to something."""
        until = time.monotonic() + seconds
        while not (found := self.value(expression)):
            assert time.monotonic() < until, expression
            time.sleep(0.1)
        return found

    def picture(self, path):
        """Write a PNG of the whole page."""
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))

    def _hear(self):
        while b"\0" not in self._left:
            found = os.read(self._read, 1 << 20)
            assert found, "the browser has ended"
            self._left += found
        message, _, self._left = self._left.partition(b"\0")
        heard = json.loads(message)
        method, params = heard.get("method"), heard.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.loadingFailed":
            self.failures.append(params["errorText"])
        elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
            self.failures.append(f"{params['response']['status']} {params['response']['url']}")
        elif method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.complaints.append(params)
        elif method == "Page.loadEventFired":
            self.loaded = True
        return heard


@contextmanager
def browser(profile):
    """A tab of a browser of our own; its profile lies in a folder that is ours to delete."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    shell = f'exec "$@" 3<&{to_read} 4>&{from_write}'
    command = ["bash", "-c", shell, "bash", PROGRAM, *_OPTIONS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        command, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Tab(from_read, to_write)
    finally:
        os.close(to_write)  # at which it ends
        os.close(from_read)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
