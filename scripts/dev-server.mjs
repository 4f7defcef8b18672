// Edge and control in one workerd, built from the same wrangler.toml files that are deployed.
import { readdirSync, readFileSync } from "node:fs";
import { context } from "esbuild";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import {
	unstable_getMiniflareWorkerOptions as fromToml,
	unstable_readConfig as readConfig,
	unstable_splitSqlQuery as splitSql,
} from "wrangler";

// Control first: /cdn-cgi/local/scheduled reaches the first Worker only, on Miniflare's own port only.
const CONFIG = { control: "control/wrangler.toml", edge: "wrangler.toml" };

/**
 * `bindings`: role → secrets and variables that are in no wrangler.toml. With `tickMs` 0 nothing ticks by itself; `onTick`
 * follows each tick that did. `adapt` may change Miniflare's workers before they start. The returned `stop` ends workerd; a killed parent does not.
 */
export async function startDev({
	ports,
	state,
	bindings,
	watch = false,
	tickMs = 60_000,
	onTick = async () => {},
	log = console.log,
	adapt = (workers) => workers,
}) {
	const code = {};
	let mf;
	const options = () =>
		convertV4MiniflareOptions({
			host: "127.0.0.1",
			port: ports.control,
			unsafeTriggerHandlers: true, // GET /cdn-cgi/local/scheduled?cron=…&time=<ms>
			cf: false, // never ask workers.cloudflare.com for a Request.cf sample
			log: new Log(LogLevel.WARN),
			// Miniflare 5 name; the Miniflare 4 names (kvPersist, d1Persist, ...) are ignored without a word.
			resourcePersistencePath: state,
			workers: adapt(
				Object.entries(CONFIG).map(([role, path]) => {
					const { workerOptions } = fromToml(path);
					return {
						...workerOptions,
						name: readConfig({ config: path }).name,
						rootPath: process.cwd(),
						modules: [{ type: "ESModule", path: `${role}.mjs`, contents: code[role] }],
						bindings: { ...workerOptions.bindings, ...bindings[role] },
						unsafeDirectSockets: role === "control" ? [] : [{ host: "127.0.0.1", port: ports[role] }],
					};
				}),
			),
		});
	const reload = (role) => ({
		name: "reload",
		setup(build) {
			build.onEnd(async (result) => {
				const text = result.outputFiles?.[0]?.text;
				if (result.errors.length > 0 || text === undefined || text === code[role]) return;
				code[role] = text;
				if (!mf) return;
				await mf.setOptions(options());
				log(`[dev] reloaded ${role}`);
			});
		},
	});
	const contexts = await Promise.all(
		Object.entries(CONFIG).map(([role, path]) =>
			context({
				entryPoints: [fromToml(path).main],
				bundle: true,
				format: "esm",
				target: "es2024",
				write: false,
				sourcemap: "inline",
				conditions: ["workerd", "worker", "browser"],
				mainFields: ["module", "main"],
				external: ["cloudflare:*", "node:*"],
				plugins: [reload(role)],
			}),
		),
	);
	await Promise.all(contexts.map((each) => each.rebuild()));
	mf = new Miniflare(options());
	await mf.ready;
	const control = readConfig({ config: CONFIG.control }).name;
	await migrate(await mf.getD1Database("DB", control), "migrations");
	if (watch) await Promise.all(contexts.map((each) => each.watch()));

	const tick = async (at = new Date()) => (await mf.getWorker(control)).scheduled({ cron: "* * * * *", scheduledTime: at });
	const onTime = async () => {
		await tick();
		await onTick();
	};
	const timer = tickMs > 0 ? setInterval(() => void onTime().catch((error) => log(`[cron] ${error.message}`)), tickMs) : undefined;
	return {
		tick,
		/** Control's D1. */
		database: () => mf.getD1Database("DB", control),
		async stop() {
			clearInterval(timer);
			await Promise.all(contexts.map((each) => each.dispose()));
			await mf.dispose();
		},
	};
}

/** Same bookkeeping table as `wrangler d1 migrations apply --local`. */
async function migrate(db, dir) {
	await db.exec(
		"CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)",
	);
	const { results } = await db.prepare("SELECT name FROM d1_migrations").all();
	const done = new Set(results.map((row) => row.name));
	const pending = readdirSync(dir).filter((file) => file.endsWith(".sql") && !done.has(file));
	for (const name of pending.sort())
		await db.batch([
			...splitSql(readFileSync(`${dir}/${name}`, "utf8")).map((query) => db.prepare(query)),
			db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name),
		]);
}
