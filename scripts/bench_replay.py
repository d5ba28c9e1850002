"""What a recording is driven with: calls a second at full speed beside h2load on the
same etcd, and how late calls are made when the clock says when."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench_wire import RANGE, field, message

PUT = "/etcdserverpb.KV/Put"
CAPTURE = "apiserver-0.36_etcd-3.5_startup-and-workload.pcap.zst"


class Replaying:
    """A part of scripts/bench; it brings the processes and h2load."""

    def replay(self):
        put = field(1, b"/registry/configmaps/default/put") + field(2, os.urandom(1024))
        (self.dir / "put").write_bytes(message(put))
        print(f"\nCalls a second at full speed on the same etcd (1 KB value, median of {self.args.rounds} rounds "
              f"that take turns, and the ratio of the two in each; goal: 0.95), of a recording of h2load's own calls\n")
        header = f"{'':<8}{'connections x streams':<24}{'h2load':>12}{'replay':>12}{'ratio':>10}{'of rounds':>16}"
        print(header + "\n" + "-" * len(header))
        for name, path, data in (("Range", RANGE, "range"), ("Put", PUT, "put")):
            for clients, streams in self.shapes():
                self.full_speed(name, path, data, clients, streams)
        self.lateness()

    def full_speed(self, name, path, data, clients, streams):
        calls = max(self.args.calls // (8 if (clients, streams) == (1, 1) else 1), clients * streams)
        file = self.dir / f"{name}-{clients}x{streams}.mcap"
        child, port = self.etcdtap("--record", str(file), log=False)
        self.h2load(port, clients, streams, calls, path=path, message=data)
        self.stop(child)
        theirs, ours = [], []
        for round_ in range(-1, self.args.rounds):
            rate = self.h2load(self.etcd_port, clients, streams, calls, path=path, message=data)
            report = self.drive(file, self.etcd_port, "--speed", "max", "--as-is", "--yes")
            if report["calls"] != calls or report["new_errors"]:
                sys.exit(f"bench: not all {calls} calls were driven: {report}")
            if round_ >= 0:
                theirs.append(rate)
                ours.append(report["calls_per_second"])
        ratios = sorted(mine / other for mine, other in zip(ours, theirs))
        row = f"{name:<8}{f'{clients}x{streams}':<24}"
        row += f"{statistics.median(theirs):>12,.0f}{statistics.median(ours):>12,.0f}"
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        print(row + f"{statistics.median(ratios):>9.3f}x{spread:>16}", flush=True)

    def lateness(self):
        capture = Path(__file__).resolve().parent.parent / "fixtures/captures" / CAPTURE
        if not capture.exists():
            print(f"no {CAPTURE}: lateness left out")
            return
        file = self.dir / "capture.mcap"
        subprocess.run([str(self.binary), "import", str(capture), "-o", str(file)], check=True, capture_output=True)
        print("\nHow late calls of a real API server's recording are made (goal at its own pace: p99 below 2 ms)\n")
        for speed in ("1", "10"):
            child, port = self.start_etcd(f"etcd-{speed}")
            report = self.drive(file, port, "--speed", speed)
            self.stop(child)
            late = report["lateness"]
            print(f"speed {speed:<4}{report['calls']:>8,} calls: late by p50 {late['p50_us']} µs, p99 {late['p99_us']} µs, "
                  f"at most {late['max_us']} µs", flush=True)

    def drive(self, file, port, *flags):
        done = subprocess.run([str(self.binary), "replay", str(file), "--target", f"http://127.0.0.1:{port}", "--json",
                               *flags], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench: replay ended with {done.returncode}: {done.stderr}{done.stdout}")
        return json.loads(done.stdout)
