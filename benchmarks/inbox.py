"""The webhook inbox at 100 rings a second, as `annotation-ops serve` runs it, against the same server answering without storing.

Open loop: a ring is sent when its time has come, whether the ones before it are answered or not, and its time counts from then on.
"""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from annotation_ops.adapters.platforms.label_studio.webhooks import SECRET_HEADER
from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger

RATE = 100
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3


async def rings(url: str, headers: dict[str, str], expected: int) -> list[float]:
    """Seconds to each answer."""
    spent: list[float] = []
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    async with httpx.AsyncClient(limits=limits, timeout=30.0) as client:
        began = time.perf_counter()

        async def one(due: float) -> None:
            answer = await client.post(url, headers=headers, content=b'{"action": "ANNOTATION_CREATED"}')
            spent.append(time.perf_counter() - due)
            assert answer.status_code == expected, answer.text

        running = []
        for number in range(RATE * SECONDS):
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            running.append(asyncio.create_task(one(due)))
        await asyncio.gather(*running)
    return spent


def writer(ledger: SqlLedger, stop: threading.Event) -> None:
    """What a collection does beside it: a transaction of a millisecond or two, twenty times a second."""
    number = 0
    while not stop.wait(0.05):
        number += 1
        with ledger.transaction(actor="bench", at=datetime.now(UTC)) as tx:
            tx.set_cursor("bench", str(number))
            tx.audit("bench", "bench", {"number": number})


def shown(name: str, spent: list[float]) -> str:
    cut = statistics.quantiles(spent, n=100)
    return f"{name:38s} p50 {cut[49] * 1e3:6.1f} ms   p99 {cut[98] * 1e3:6.1f} ms   worst {max(spent) * 1e3:6.1f} ms"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {**os.environ, "ANNOTATION_OPS_HOME": folder, "ANNOTATION_OPS_WEBHOOK_SECRET": "bench"}
        environment["ANNOTATION_OPS_PROJECTS"] = str(Path(__file__).parents[1] / "projects")
        command = [str(Path(sys.executable).with_name("annotation-ops")), "serve", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        base = f"http://127.0.0.1:{port}"
        try:
            while True:
                try:
                    httpx.get(base)
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            hook, headers = f"{base}/hooks/label-studio/digits", {SECRET_HEADER: "bench"}
            for _ in range(ROUNDS):
                print(shown("turned away (floor, 401)", asyncio.run(rings(hook, {}, 401))))
                print(shown("stored (204)", asyncio.run(rings(hook, headers, 204))))
                ledger = SqlLedger(f"sqlite:///{folder}/ledger.sqlite")
                stop = threading.Event()
                beside = threading.Thread(target=writer, args=(ledger, stop))
                beside.start()
                print(shown("stored, beside 20 transactions a second", asyncio.run(rings(hook, headers, 204))))
                stop.set()
                beside.join()
                ledger.close()
            print(json.dumps({"rate": RATE, "seconds": SECONDS, "rounds": ROUNDS}))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
