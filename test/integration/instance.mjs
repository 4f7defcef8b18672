// An instance in a process of its own, so that a test can end it as a crash would. Arguments as one JSON:
// {ports, state, stuckKv, breakable}.
import { startDev } from "../../scripts/dev-server.mjs";
import { breakable as madeBreakable } from "./breakable.mjs";

const { ports, state, stuckKv, breakable } = JSON.parse(process.argv[2] ?? "{}");

/** A KV whose `put` never returns; it says that it was called. */
const STUCK = `import { WorkerEntrypoint } from "cloudflare:workers";
export class StuckKv extends WorkerEntrypoint {
	async put(key) { console.log("stuck in put " + key); await scheduler.wait(3_600_000); }
	async get() { return null; }
}
export default {};`;

const dev = await startDev({
	ports,
	state,
	tickMs: 0,
	bindings: {
		control: { ADMIN_TOKEN: "token", DEV_CLOCK: "1", WEBHOOKS_ALLOW_PRIVATE: "1", CHECKS_ALLOW_PRIVATE: "1", GATEWAY_ALLOW_PRIVATE: "1" },
		edge: { USER_HASH_KEY: "key", DEV_CLOCK: "1" },
	},
	adapt: (workers) => {
		if (breakable) return workers.map(madeBreakable);
		if (!stuckKv) return workers;
		const [control, ...rest] = workers;
		return [
			{
				...control,
				kvNamespaces: {},
				serviceBindings: { ...control.serviceBindings, SNAPSHOTS: { name: "stuck-kv", entrypoint: "StuckKv" } },
			},
			...rest,
			{
				name: "stuck-kv",
				compatibilityDate: control.compatibilityDate,
				modules: [{ type: "ESModule", path: "stuck.mjs", contents: STUCK }],
			},
		];
	},
});
process.on("SIGTERM", () => void dev.stop().then(() => process.exit(0)));
console.log("ready");
