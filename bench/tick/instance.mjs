import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDev } from "../../scripts/dev-server.mjs";
import { buildWorker } from "../build.mjs";

const TOKEN = "bench";
/** Rollouts that one statement copies. */
const COPIED_AT_ONCE = 100;

/** Control on a database of its own, whose rollouts are copies of a few that were started over the API. */
export async function startInstance() {
	const state = mkdtempSync(join(tmpdir(), "tidegate-bench-"));
	const [control, edge] = [await freePort(), await freePort()];
	const { text } = await buildWorker("bench/workers/tick.mjs");
	const dev = await startDev({
		ports: { control, edge },
		state,
		tickMs: 0,
		bindings: { control: { ADMIN_TOKEN: TOKEN }, edge: { USER_HASH_KEY: "bench" } },
		log: () => {},
		adapt: ([controlWorker, edgeWorker]) => [
			{ ...controlWorker, modules: [{ type: "ESModule", path: "control.mjs", contents: text }] },
			edgeWorker,
		],
	});
	const database = await dev.database();
	const request = async (method, path, body) => {
		const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
		const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
		const response = await fetch(`http://127.0.0.1:${control}${path}`, init);
		const answer = response.status === 204 ? undefined : await response.json();
		if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
		return answer;
	};
	/** Rows of these tables that belong to one rollout, for others too. */
	const copied = async (tables, name, from, to) => {
		for (let i = from; i < to; i += COPIED_AT_ONCE) {
			const numbers = JSON.stringify(Array.from({ length: Math.min(COPIED_AT_ONCE, to - i) }, (_, n) => i + n));
			await database.batch(
				tables.map(([table, columns, expressions, own]) =>
					database
						.prepare(
							`INSERT INTO ${table} (${columns}) SELECT ${expressions} FROM json_each(?1) AS n CROSS JOIN ${table} AS t WHERE ${own}`,
						)
						.bind(numbers, name),
				),
			);
		}
	};
	/** Its columns, with another rollout's name where one is. */
	const columnsOf = async (table, change) => {
		const { results } = await database.prepare(`SELECT name FROM pragma_table_info('${table}')`).all();
		const names = results.map((row) => String(row.name)).filter((column) => table !== "audit" || column !== "id");
		return [names.map((each) => `"${each}"`).join(", "), names.map((each) => change[each] ?? `t."${each}"`).join(", ")];
	};
	const flag = "?2 || '-' || n.value";
	const rollout = `${flag} || '.1'`;
	const own = "t.rollout = ?2 || '-0.1'";
	return {
		/** So many rollouts of a flag each, `<name>-<n>.1`, started alike. Returns what a rollout of them is asked by. */
		async start(name, count, plan) {
			await request("POST", "/api/v1/flags?environment=production", { key: `${name}-0`, type: "boolean" });
			const wanted = { rollout: `${name}-0`, environment: "production", flags: [`${name}-0`], ...plan };
			const { id } = await request("POST", "/api/v1/rollouts", wanted);
			await request("POST", `/api/v1/rollouts/${id}/commands`, { command: "start", reason: "bench" });
			const config = { key: flag, config: `json_set(t.config, '$.key', ${flag})` };
			const of = { id: rollout, name: flag, plan: `json_set(t.plan, '$.rollout', ${flag}, '$.flags[0]', ${flag})` };
			const tables = [
				["flags", ...(await columnsOf("flags", config)), "t.key = ?2 || '-0'"],
				["flag_versions", ...(await columnsOf("flag_versions", config)), "t.key = ?2 || '-0'"],
				["rollouts", ...(await columnsOf("rollouts", of)), "t.id = ?2 || '-0.1'"],
				["rollout_events", ...(await columnsOf("rollout_events", { rollout })), own],
				["active_flags", ...(await columnsOf("active_flags", { rollout, flag })), own],
			];
			await copied(tables, name, 1, count);
		},
		/** The same outcomes for all of them that were started under that name. */
		async outcomes(name, count, points) {
			const { results } = await database
				.prepare(
					"SELECT name FROM sqlite_master WHERE name LIKE 'telemetry%' AND type = 'table' AND name <> 'telemetry_minutes' AND EXISTS (SELECT 1 FROM pragma_table_info(sqlite_master.name) AS c WHERE c.name = 'rollout')",
				)
				.all();
			const names = results.map((row) => String(row.name));
			await database.batch(names.map((table) => database.prepare(`DELETE FROM ${table} WHERE rollout LIKE '${name}-%'`)));
			await request(
				"POST",
				"/bench/outcomes",
				points.map((point) => ({ ...point, rollout: `${name}-0.1`, flag: `${name}-0` })),
			);
			const tables = await Promise.all(names.map(async (table) => [table, ...(await columnsOf(table, { rollout })), own]));
			await copied(tables, name, 1, count);
		},
		/** What it cost. */
		async tick(now) {
			const startedAtMs = performance.now();
			const count = await request("GET", `/bench/tick?now=${now}`);
			return { ...count, wallMs: performance.now() - startedAtMs };
		},
		async statuses() {
			const { results } = await database
				.prepare("SELECT status, phase, count(*) AS n FROM (SELECT status, state ->> '$.phase' AS phase FROM rollouts) GROUP BY 1, 2")
				.all();
			return results;
		},
		async stop() {
			await dev.stop();
			rmSync(state, { recursive: true, force: true });
		},
	};
}

const freePort = () =>
	new Promise((done, fail) => {
		const server = createServer()
			.on("error", fail)
			.listen(0, "127.0.0.1", () => {
				const { port } = server.address();
				server.close(() => done(port));
			});
	});
