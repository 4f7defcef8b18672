const FRONT = `import inner, * as exported from "./inner.mjs";
let outage = {};
// A timer keeps what hangs alive: workerd ends what nothing can wake.
const gone = async (what) => {
	if (outage[what] === "hangs") await scheduler.wait(3_600_000);
	throw new Error(what + " is gone");
};
const breaking = (what, given) => new Proxy(given, {
	get(target, name) {
		const found = target[name];
		if (typeof found !== "function") return found;
		return (...args) => outage[what] ? gone(what) : found.apply(target, args);
	},
});
// A statement is made without asking the database, and fails when it is run.
const statement = (given) => new Proxy(given, {
	get(target, name) {
		if (name === "given") return target;
		const found = target[name];
		if (typeof found !== "function") return found;
		if (name === "bind") return (...args) => statement(target.bind(...args));
		return (...args) => outage.d1 ? gone("d1") : found.apply(target, args);
	},
});
const database = (given) => new Proxy(given, {
	get(target, name) {
		if (name === "prepare") return (sql) => statement(target.prepare(sql));
		if (name === "batch") return (all) => outage.d1 ? gone("d1") : target.batch(all.map((each) => each.given ?? each));
		const found = target[name];
		return typeof found === "function" ? (...args) => outage.d1 ? gone("d1") : found.apply(target, args) : found;
	},
});
const wrapped = (env) => ({
	...env,
	SNAPSHOTS: breaking("kv", env.SNAPSHOTS),
	...(env.DB ? { DB: database(env.DB) } : {}),
});
const entrypoint = (Inner) => class extends Inner {
	constructor(ctx, env) {
		super(ctx, wrapped(env));
	}
	async head(...asked) { return outage.control ? gone("control") : super.head(...asked); }
	async body(...args) { return outage.control ? gone("control") : super.body(...args); }
	async record(...args) { return outage.control ? gone("control") : super.record(...args); }
};
export default {
	async fetch(request, env, ctx) {
		const { pathname } = new URL(request.url);
		if (pathname === "/.outage") {
			outage = await request.json();
			return new Response(null, { status: 204 });
		}
		if (pathname.startsWith("/.kv/")) {
			const key = pathname.slice("/.kv/".length);
			await (request.method === "DELETE" ? env.SNAPSHOTS.delete(key) : env.SNAPSHOTS.put(key, await request.text()));
			return new Response(null, { status: 204 });
		}
		return inner.fetch(request, wrapped(env), ctx);
	},
	scheduled: (event, env, ctx) => inner.scheduled(event, wrapped(env), ctx),
};`;
/** Control's, as the edge's bindings name them. */
const ENTRYPOINTS = ["Head", "Telemetry", "Comparisons"].map((name) => `export const ${name} = entrypoint(exported.${name});`).join("\n");

/**
 * Stands before a Worker and takes away what it uses, as PUT /.outage says: {d1, kv, control}, each "down" or "hangs" or left
 * out. The isolate behind it lives on. PUT and DELETE /.kv/<key> write to KV as an operator would.
 */
export const breakable = (worker) => ({
	...worker,
	modules: [
		{ type: "ESModule", path: "front.mjs", contents: worker.d1Databases?.DB ? `${FRONT}\n${ENTRYPOINTS}` : FRONT },
		{ ...worker.modules[0], path: "inner.mjs" },
	],
});
