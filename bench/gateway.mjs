// npm run bench:gateway: what proxying through the edge costs over a bare `fetch`, and what clients see while origins fail, or are switched.
import { loadTidegate } from "./build.mjs";
import { measureCpu } from "./gateway/cpu.mjs";
import { isQuick, startReport } from "./report.mjs";
const report = startReport("gateway");
const tidegate = await loadTidegate();
await measureCpu(report, tidegate, isQuick ? { rounds: 5, requests: 50 } : { rounds: 150, requests: 100 });
report.end();
