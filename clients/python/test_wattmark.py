"""Tests of the client against the built daemon, whose path is in WATTMARK_BINARY, on simulated GPUs of known power.

Run by the Go tests, or: WATTMARK_BINARY=../../bin/wattmark python3 -m unittest
"""

import asyncio
import http.server
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import wattmark

HERE = os.path.dirname(os.path.abspath(__file__))
WATTS = 2 * 500.0  # of the simulated GPUs together, all the time


class Daemon:
    def __init__(self, *flags, listen=None):
        self.folder = tempfile.TemporaryDirectory()
        name = self.folder.name
        port = os.path.join(name, "port")
        self.process = subprocess.Popen(
            [os.environ["WATTMARK_BINARY"], "serve", "--backend=sim", "--sim=2xH200,load=constant,watts=500", "--allow-simulated",
             "--results-dir", name, "--listen", listen or "127.0.0.1:0", "--port-file", port, "--log-level=error", *flags])
        for _ in range(400):
            if listen and os.path.exists(listen[len("unix:"):]) or os.path.exists(port) and os.path.getsize(port):
                break
            time.sleep(0.05)
        self.addr = listen
        if not listen:
            with open(port, encoding="ascii") as file:
                self.addr = "127.0.0.1:" + file.read().strip()
        client = wattmark.Client(self.addr)
        while not client.ready():
            time.sleep(0.05)

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        logging.getLogger("wattmark").setLevel(logging.CRITICAL)
        cls.daemon = Daemon()
        cls.client = wattmark.Client(cls.daemon.addr)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def true_energy(self, result):
        self.assertTrue(result["power_valid"], result["reasons"])
        # The bound is two standard deviations: one window in twenty is outside of it, and one in fifteen thousand of twice that.
        self.assertLessEqual(abs(result["total_gpu_energy_j"] - WATTS * result["duration_s"]), 2 * result["energy_bound_j"])

    def test_window(self):
        with self.client.window(run="w1", expected_num_gpus=2) as w:
            time.sleep(1.2)
            w.count(completed=4, total_input_tokens=1000, total_output_tokens=100)
        self.assertIsNone(w.error)
        self.assertTrue(w.valid)
        self.true_energy(w.result)
        self.assertAlmostEqual(w.result["duration_s"], 1.2, delta=1.0)
        self.assertEqual(w.result["joules_per_output_token"], w.result["total_gpu_energy_j"] / 100)
        self.assertEqual(self.client.result("w1"), w.result)

    def test_without_a_name(self):
        with self.client.window() as w:
            pass
        self.assertTrue(w.run.startswith("run-"), w.run)
        self.assertEqual(w.result["run"], w.run)

    def test_exception_ends_the_window(self):
        with self.assertRaises(ZeroDivisionError):
            with self.client.window(run="broken") as w:
                time.sleep(0.1)
                1 / 0
        self.assertIsNotNone(w.result)
        self.assertEqual(self.client.result("broken")["run"], "broken")

    def test_async(self):
        async def measured():
            async with self.client.window(run="async") as w:
                await asyncio.sleep(1.1)
            return w

        w = asyncio.run(measured())
        self.true_energy(w.result)

    def test_retroactive(self):
        start = time.time()
        time.sleep(1.2)
        end = time.time()
        result = self.client.measure(start, end, run="past", completed=1, total_input_tokens=10, total_output_tokens=10)
        self.true_energy(result)
        self.assertAlmostEqual(result["duration_s"], end - start, places=3)
        self.assertEqual(result["joules_per_total_token"], result["total_gpu_energy_j"] / 20)
        only = self.client.energy(start, end, gpus=[0])
        self.assertEqual(len(only["gpus"]), 1)

    def test_marks(self):
        started = self.client.mark_start("marks", gpus=[1])
        self.assertEqual([g["index"] for g in started["gpus"]], [1])
        time.sleep(0.3)
        result = self.client.mark_end("marks", benchmark={"completed": 1, "total_input_tokens": 5, "total_output_tokens": 5})
        self.assertIsNotNone(result["joules_per_successful_query"])

    def test_refusals(self):
        self.assertIsNone(self.client.mark_end("nobody"))
        strict = wattmark.Client(self.daemon.addr, strict=True)
        with self.assertRaises(wattmark.Error) as caught:
            strict.mark_end("nobody")
        self.assertEqual((caught.exception.code, caught.exception.status), ("unknown_run", 404))
        with self.assertRaises(wattmark.Error):
            with strict.window(run="not a name"):
                self.fail("the block runs although it was strict")
        for bad in ({"run": "x", "completed": float("nan")}, {"run": "x", "gpus": object()}):
            self.assertIsNone(self.client.mark_start(**bad))

    def test_late_daemon(self):
        """The mark was not taken, for there was no daemon; by the end there is one that had been reading."""
        w = wattmark.Client("127.0.0.1:1").window(run="late")
        w.start()
        self.assertIsNotNone(w.error)
        time.sleep(1.2)
        w.client = self.client
        self.true_energy(w.end())
        self.assertIsNone(w.error)

    def test_environment(self):
        os.environ["WATTMARK_ADDR"] = self.daemon.addr
        try:
            with wattmark.window(run="env") as w:
                time.sleep(0.2)
            self.assertIsNotNone(w.result)
            self.assertIsNotNone(wattmark.energy(w.start_unix, w.end_unix))
        finally:
            del os.environ["WATTMARK_ADDR"]

    def test_example(self):
        class Server(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(0.2)
                text = json.dumps({"usage": {"prompt_tokens": 10, "completion_tokens": 5}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [sys.executable, os.path.join(HERE, "example_serving.py"), "--base-url", f"http://127.0.0.1:{server.server_port}",
                   "--num-prompts", "12", "--max-concurrency", "2", "--run", "example"]
        out = subprocess.run(command, check=True, capture_output=True, timeout=60, env=dict(os.environ, WATTMARK_ADDR=self.daemon.addr))
        result = json.loads(out.stdout)
        self.assertEqual((result["completed"], result["total_input_tokens"], result["total_output_tokens"]), (12, 120, 60))
        window = self.client.result("example")
        self.true_energy(window)
        self.assertEqual(result["joules_per_output_token"], window["total_gpu_energy_j"] / 60)
        # Without a daemon the benchmark goes on.
        out = subprocess.run(command, check=True, capture_output=True, timeout=60, env=dict(os.environ, WATTMARK_ADDR="127.0.0.1:1"))
        result = json.loads(out.stdout)
        self.assertEqual(result["completed"], 12)
        self.assertIn("no answer", result["power_problem"])
        server.shutdown()
        server.server_close()


class Access(unittest.TestCase):
    def test_unix_socket_and_token(self):
        with tempfile.TemporaryDirectory() as folder:
            secret = os.path.join(folder, "token")
            with open(secret, "w", encoding="ascii") as file:
                file.write("0123456789abcdef0123456789abcdef\n")
            os.chmod(secret, 0o600)
            daemon = Daemon("--write-token-file", secret, listen="unix:" + os.path.join(folder, "sock"))
            try:
                self.assertIsNone(wattmark.Client(daemon.addr).mark_start("r"))
                with wattmark.Client(daemon.addr, token="0123456789abcdef0123456789abcdef").window(run="r") as w:
                    time.sleep(0.1)
                self.assertIsNotNone(w.result)
                os.environ["WATTMARK_TOKEN_FILE"] = secret
                self.assertIsNotNone(wattmark.Client(daemon.addr).mark_start("r2"))
                os.environ["WATTMARK_TOKEN_FILE"] = secret + ".missing"
                self.assertIsNone(wattmark.Client(daemon.addr).mark_start("r3"))
            finally:
                os.environ.pop("WATTMARK_TOKEN_FILE", None)
                daemon.close()


class Hostile(unittest.TestCase):
    """Daemons that hang, lie or are not there: no exception, and no more time than was given."""

    def serve(self, answer):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def check(self, addr, most=6.0):
        ran = False
        start = time.monotonic()
        with wattmark.Client(addr, timeout=0.5).window(run="x") as w:
            ran = True
        self.assertTrue(ran)
        self.assertIsNone(w.result)
        self.assertIsInstance(w.error, wattmark.Error)
        self.assertLess(time.monotonic() - start, most)
        with self.assertRaises(wattmark.Error):
            wattmark.Client(addr, timeout=0.5, strict=True).mark_start("x")

    def test_nobody(self):
        for addr in ("127.0.0.1:1", "unix:/nonexistent/sock", "no such host.invalid:1", "ftp://127.0.0.1", "::::", "http://[::1", "127.0.0.1:x"):
            self.check(addr)

    def test_silence(self):
        self.check(self.serve(lambda connection: time.sleep(30)))

    def test_drip(self):
        def drip(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.1)
            except OSError:
                pass

        self.check(self.serve(drip))

    def test_lies(self):
        def answer(text):
            def send(connection):
                connection.recv(1 << 16)
                connection.sendall(text)
                connection.close()
            return send

        def http_answer(body, status=b"200 OK"):
            return b"HTTP/1.1 " + status + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body

        for text in (b"", b"garbage\r\n\r\n", http_answer(b"not json"), http_answer(b"[1, 2]"), http_answer(b"{}"), http_answer(b"\xff"),
                     http_answer(b'{"run": 1, "start_unix": "x"}'), http_answer(b"<html>", b"502 Bad Gateway"),
                     http_answer(b'{"detail": null}', b"500 No"), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"):
            addr = self.serve(answer(text))
            with wattmark.Client(addr, timeout=0.5).window(run="x") as w:
                pass
            self.assertIsInstance(w.error, wattmark.Error, text)
            self.assertIsNone(w.result, text)


if __name__ == "__main__":
    unittest.main()
