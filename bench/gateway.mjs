// npm run bench:gateway: what proxying through the edge costs over a bare `fetch`, and what clients see while origins fail, or are switched.
import { loadTidegate } from "./build.mjs";
import { measureCpu } from "./gateway/cpu.mjs";
import { measureFuse } from "./gateway/fuse.mjs";
import { measureLatency } from "./gateway/latency.mjs";
import { measureStreams } from "./gateway/stream.mjs";
import { measureSwitch } from "./gateway/switch.mjs";
import { isQuick, startReport } from "./report.mjs";

const report = startReport("gateway");
const tidegate = await loadTidegate();
//await measureCpu(report, tidegate, isQuick ? { rounds: 2, requests: 500 } : { rounds: 15, requests: 5_000 });
//await measureLatency(report, tidegate, { pairs: isQuick ? 50 : 1_500 });
//await measureStreams(report, tidegate, { mebibytes: isQuick ? 128 : 1_024 });
//await measureFuse(report, tidegate, { times: isQuick ? 2 : 20 });
await measureSwitch(report, tidegate, isQuick ? { seconds: 0, warmUpMs: 500 } : { seconds: 60, warmUpMs: 10_000 });
report.end();
