// npm run bench:gateway: what proxying through the edge costs over a bare `fetch`, and what clients see while origins fail, or are switched.
import { loadTidegate } from "./build.mjs";
import { measureCpu } from "./gateway/cpu.mjs";
import { measureFuse } from "./gateway/fuse.mjs";
import { measureLatency } from "./gateway/latency.mjs";
import { measureStreams } from "./gateway/stream.mjs";
import { LEVEL_REQUESTS, measureSwitch } from "./gateway/switch.mjs";
import { isQuick, startReport } from "./report.mjs";
import { canMeasureCpu } from "./workerd.mjs";

const report = startReport("gateway");
const tidegate = await loadTidegate();
if (!canMeasureCpu) {
	report.note("skipped: CPU and memory are measured on Linux only");
	report.end();
	process.exit(0);
}
await measureCpu(report, tidegate, isQuick ? { rounds: 3, requests: 50, warmUp: 50 } : { rounds: 200, requests: 100, warmUp: 3_000 });
await measureStreams(report, tidegate, { mebibytes: isQuick ? 32 : 1_024 });
await measureLatency(report, tidegate, isQuick ? { pairs: 25, compiled: 50 } : { pairs: 2_000, compiled: 3_000 });
await measureFuse(report, tidegate, { times: isQuick ? 1 : 20 });
const run = isQuick ? { seconds: 0, warmUpRequests: 50, idleMs: 2_000 } : { seconds: 60, warmUpRequests: LEVEL_REQUESTS, idleMs: 8_000 };
await measureSwitch(report, tidegate, run);
report.note(
	"CPU: workerd's user and system time over a Worker that does nothing but `fetch`, the same requests to the same origin, medians of",
);
report.note(
	"interleaved rounds, with what goes on behind the answers, and control's stand-in that takes the measurements. Miniflare puts a Worker",
);
report.note(
	"of its own before each `fetch` of either; by a binding there is none. Latency: a request every 20 ms, whether others are answered or not.",
);
report.note("Fuse: requests that the candidate gets from its first failing answer on; by chance one may stay below half for a while.");
report.note("Switch: the head first, with an overlay on the way back, then the snapshot; answers carry their origin, length and checksum.");
report.note("Memory after it: beside that before it, and after 80,000 requests, with the garbage collected every 5 s.");
report.end();
