// npm run bench:bundle: the size of the edge's one module, minified and compressed, beside those of SDKs built the same way.
import { gzipSync } from "node:zlib";
import { buildWorker } from "./build.mjs";
import { arePeersInstalled } from "./install.mjs";
import { startReport } from "./report.mjs";

const BAR_KB = 30;
/** What an edge evaluating with each peer would import at least. */
const PEERS = {
	"@openfeature/flagd-core": 'export { FlagdCore } from "@openfeature/flagd-core"',
	"unleash-client": 'export { Unleash } from "unleash-client"',
	"@growthbook/growthbook": 'export { GrowthBookClient } from "@growthbook/growthbook"',
	"@launchdarkly/node-server-sdk": 'export { init } from "@launchdarkly/node-server-sdk"',
};

const report = startReport("bundle");
const kilobytes = (text) => gzipSync(text, { level: 9 }).byteLength / 1_000;

const { text, metafile } = await buildWorker("worker/index.ts", { minify: true });
report.figure("edge, gzip", kilobytes(text), "kB", BAR_KB);
report.figure("edge, minified", text.length / 1_000, "kB");
const [output] = Object.values(metafile.outputs);
const inputs = Object.entries(output.inputs).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput);
for (const [path, { bytesInOutput }] of inputs.slice(0, 8)) report.figure(`  ${path}`, bytesInOutput / 1_000, "kB minified");

if (arePeersInstalled())
	for (const [name, contents] of Object.entries(PEERS)) {
		const peer = await buildWorker(undefined, {
			entryPoints: undefined,
			stdin: { contents, resolveDir: "bench" },
			minify: true,
			platform: "node",
			format: "esm",
		});
		report.figure(`${name}, gzip`, kilobytes(peer.text), "kB");
	}
else for (const name of Object.keys(PEERS)) report.note(`${name}: skipped: not installed`);
report.note("kB: 1,000 bytes. node:* and cloudflare:* are the runtime's.");
report.end();
