import { existsSync, readdirSync, readFileSync } from "node:fs";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as fromToml } from "wrangler";
import { buildWorker } from "./build.mjs";

/** CPU is read from Linux's /proc. */
export const canMeasureCpu = existsSync("/proc/self/schedstat");

const { workerOptions } = fromToml("wrangler.toml");

/** A Worker that answers on a socket of its own: Miniflare's entry, which would cost each request as much again, stays out. */
export const aWorker = (name, code, change = {}) => ({
	name,
	modules: [{ type: "ESModule", path: `${name}.mjs`, contents: code }],
	compatibilityDate: workerOptions.compatibilityDate,
	unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
	...change,
});

/** The edge as deployed, on a KV of its own and with a stand-in for control, which `withControl` adds. */
export async function anEdge() {
	const { text } = await buildWorker("worker/index.ts");
	return (name, bindings = {}) =>
		aWorker(name, text, {
			...workerOptions,
			bindings: { ...workerOptions.bindings, ...bindings },
			kvNamespaces: { SNAPSHOTS: "snapshots" },
			serviceBindings: Object.fromEntries(
				["Head", "Telemetry", "Comparisons"].map((entrypoint) => [entrypoint.toUpperCase(), { name: "control", entrypoint }]),
			),
		});
}

export async function aControl(head) {
	const { text } = await buildWorker("bench/workers/control.mjs");
	return aWorker("control", text, { bindings: { HEAD: head }, kvNamespaces: { SNAPSHOTS: "snapshots" } });
}

/** Starts Workers in one workerd process. `kv` goes into the namespace of the Worker `control`; `isInspected`: `inspectorUrl` is there. */
export async function startWorkerd(workers, kv = {}, isInspected = false) {
	const before = new Set(children());
	const mf = new Miniflare(
		convertV4MiniflareOptions({
			host: "127.0.0.1",
			port: 0,
			cf: false,
			log: new Log(LogLevel.ERROR),
			workers,
			...(isInspected ? { inspectorPort: 0 } : {}),
		}),
	);
	await mf.ready;
	const pids = children().filter((pid) => !before.has(pid));
	const put = async (entries) => {
		const store = await mf.getKVNamespace("SNAPSHOTS", "control");
		for (const [key, value] of Object.entries(entries)) await store.put(key, value);
	};
	if (Object.keys(kv).length > 0) await put(kv);
	const inspector = isInspected ? await mf.getInspectorURL() : undefined;
	const urls = {};
	for (const { name } of workers) urls[name] = (await mf.unsafeGetDirectURL(name)).origin;
	const inspectorUrl = isInspected ? (name) => new URL(`/core:user:${name}`, inspector).href : undefined;
	return { urls, put, inspectorUrl, cpuMs: () => cpuMsOf(pids), residentBytes: () => residentBytesOf(pids), stop: () => mf.dispose() };
}

const children = () =>
	readdirSync(`/proc/${process.pid}/task`).flatMap((task) =>
		readFileSync(`/proc/${process.pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean),
	);

/** User and system time of the processes' threads since they began; in nanoseconds where stat counts in hundredths of a second. */
function cpuMsOf(pids) {
	let ns = 0;
	for (const pid of pids)
		for (const task of readdirSync(`/proc/${pid}/task`))
			ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
	return ns / 1e6;
}

/** What the processes hold of the machine's memory. */
function residentBytesOf(pids) {
	let kibibytes = 0;
	for (const pid of pids) kibibytes += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
	return kibibytes * 1_024;
}
