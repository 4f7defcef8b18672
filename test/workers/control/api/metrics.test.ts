import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { openSnapshot } from "../../../../core/flags/ruleset";
import { open } from "../../../../control/store/database";
import { pendingEnvironments, readHead } from "../../../../control/store/publication";
import { publish } from "../../../../control/tick/publish";
import { auditOf, auditRows, command, createFlag, createRollout, done, newKey, pointersOf, refused, send } from "./harness";

interface MetricBody {
	readonly key: string;
	readonly environment: string;
	readonly kind: string;
	readonly unit: string;
	readonly better: string;
	readonly harm: unknown;
	readonly description: string;
	readonly standard: boolean;
	readonly quantities: readonly string[];
	readonly updatedAtMs: number | null;
}

const METRICS = "/api/v1/metrics?environment=production";
const metricAt = (key: string, environment = "production"): string => `/api/v1/metrics/${key}?environment=${environment}`;
/** Keys of metrics have no hyphen; none here is a part of another. */
const aKey = (): string => `basket_${newKey().slice(4)}_value`;
const aMetric = (change: Record<string, unknown> = {}) => ({ key: aKey(), kind: "quantile", unit: "EUR", ...change });
const createMetric = (change: Record<string, unknown> = {}) => done<MetricBody>("POST", METRICS, { body: aMetric(change) });
const list = (environment = "production") =>
	done<{ metrics: MetricBody[]; damaged: string[] }>("GET", `/api/v1/metrics?environment=${environment}`);
/** A draft whose plan looks at the metric. */
const planned = async (key: string, change: Record<string, unknown> = {}) =>
	createRollout({ phases: [{ percent: 100, hold: "10m", criteria: [`${key} mean < 100`] }], red_flags: [], ...change });

const changes = async (): Promise<number> =>
	(await env.DB.prepare("SELECT changed FROM environments WHERE name = 'production'").first<{ changed: number }>())?.changed ?? 0;

async function published() {
	const db = open(env.DB);
	await publish({ db, kv: env.SNAPSHOTS, realNow: () => Date.now() });
	expect(await pendingEnvironments(db)).toEqual([]);
	const version = (await readHead(db)).head.environments["production"]?.version ?? 0;
	const body = await env.SNAPSHOTS.get(`snapshot/production/${version}`, "arrayBuffer");
	return openSnapshot(new Uint8Array(body ?? new ArrayBuffer()), (bytes) => new TextDecoder().decode(bytes));
}

describe("the metrics of an environment", () => {
	test("begin with the standard ones, and then its own by key", async () => {
		const { key } = await createMetric();
		const { metrics, damaged } = await list();
		expect(damaged).toEqual([]);
		expect(metrics.filter(({ standard }) => standard).map((each) => each.key)).toEqual([
			"error",
			"fallback",
			"latency_ms",
			"duration_ms",
			"response_bytes",
			"gateway_retried",
			"gateway_diverted",
			"discrepancy",
			"satisfaction",
		]);
		expect(metrics.findIndex(({ standard }) => !standard)).toBe(9);
		const own = metrics.filter(({ standard }) => !standard).map((each) => each.key);
		expect(own).toContain(key);
		expect(own).toEqual([...own].sort());
		expect((await list("staging")).metrics).toHaveLength(9);
	});

	test("say what criteria may say of them", async () => {
		const { metrics } = await list();
		const quantitiesOf = (key: string) => metrics.find((each) => each.key === key)?.quantities;
		expect(quantitiesOf("error")).toEqual(["error_rate"]);
		expect(quantitiesOf("latency_ms")).toEqual([
			"latency_ms mean",
			"latency_ms p50",
			"latency_ms p75",
			"latency_ms p90",
			"latency_ms p95",
			"latency_ms p99",
		]);
		expect((await createMetric({ kind: "count", better: "higher", harm: { op: "lt", value: 1 } })).quantities).toEqual([
			expect.stringMatching(/ count$/),
			expect.stringMatching(/ harm$/),
		]);
	});

	test("are read one by one, standard ones too", async () => {
		const created = await createMetric();
		expect(await done("GET", metricAt(created.key))).toEqual(created);
		expect(await done("GET", metricAt("error"))).toMatchObject({ key: "error", kind: "rate", standard: true, updatedAtMs: null });
		expect((await refused(404, "GET", metricAt(created.key, "staging"))).detail).toContain(created.key);
		await refused(422, "GET", metricAt("No-Key"));
		const problem = await refused(422, "GET", "/api/v1/metrics");
		expect([problem.detail, pointersOf(problem)]).toEqual(["?environment= is required: production or staging", ["?environment="]]);
	});
});

describe("a metric", () => {
	test("is created with what was not said filled in, audited, and told to the edges", async () => {
		const before = await changes();
		const key = aKey();
		const { status, body } = await send<MetricBody>("POST", `${METRICS}&reason=baskets`, { body: { key, kind: "mean" } });
		const definition = { key, kind: "mean", unit: "", better: "lower", harm: null, description: "" };
		expect([status, body]).toEqual([
			201,
			{ ...definition, environment: "production", standard: false, quantities: expect.any(Array), updatedAtMs: expect.any(Number) },
		]);
		expect(await changes()).toBe(before + 1);
		expect(await auditOf(`metrics/production/${key}`)).toMatchObject([
			{ action: "metric.created", actor: "admin", reason: "baskets", before: null, after: definition },
		]);
		expect((await published()).measured().metrics).toContainEqual({ key, kind: "mean" });
	});

	test.each<[string, Record<string, unknown>, string, string]>([
		["a standard one's name", { key: "error" }, "/key", "standard metric"],
		["the name of what did not arrive", { key: "lost" }, "/key", "did not arrive"],
		["an aggregate's end", { key: "basket_p95" }, "/key", "aggregate"],
		["a key in capitals", { key: "Basket" }, "/key", "lower-case letter"],
		["no kind", { kind: undefined }, "/kind", "/kind: is required: rate, mean, quantile or count"],
		["an unknown kind", { kind: "sum" }, "/kind", "/kind: takes rate, mean, quantile or count"],
		["an unknown direction", { better: "up" }, "/better", "takes lower or higher"],
		["harm of a rate", { kind: "rate", harm: { op: "gt", value: 0 } }, "/harm", "better"],
		["an unknown field", { goal: 3 }, "/goal", ""],
	])("with %s is refused", async (_, change, pointer, message) => {
		const rows = await auditRows();
		const problem = await refused(422, "POST", METRICS, { body: aMetric(change) });
		expect(pointersOf(problem)).toContain(pointer);
		expect(problem.detail).toContain(message);
		expect(await auditRows()).toEqual(rows);
	});

	test("exists once in an environment, whoever comes first", async () => {
		const body = aMetric();
		const answers = await Promise.all([1, 2, 3].map(() => send<MetricBody>("POST", METRICS, { body })));
		expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 409, 409]);
		const problem = await refused(409, "POST", METRICS, { body });
		expect([problem.type, problem.detail]).toEqual(["urn:tidegate:problem:metric_exists", expect.stringContaining("PUT")]);
		expect(await auditOf(`metrics/production/${body.key}`)).toHaveLength(1);
		await done("POST", "/api/v1/metrics?environment=staging", { body });
		await done("DELETE", metricAt(body.key, "staging"));
	});

	test("is replaced as a whole, audited with both", async () => {
		const { key } = await createMetric({ description: "as it was", better: "higher" });
		const after = { key, kind: "mean", unit: "items", better: "lower", harm: { op: "gt", value: 20 }, description: "" };
		const changed = await done<MetricBody>("PUT", `${metricAt(key)}&reason=items`, {
			body: { key, kind: "mean", unit: "items", harm: { op: "gt", value: 20 } },
		});
		expect(changed).toMatchObject(after);
		expect(await done("GET", metricAt(key))).toEqual(changed);
		expect((await auditOf(`metrics/production/${key}`)).at(-1)).toMatchObject({
			action: "metric.changed",
			reason: "items",
			before: { kind: "quantile", description: "as it was" },
			after,
		});
		expect((await published()).measured().metrics).toContainEqual({ key, kind: "mean" });
	});

	test("after whose change nothing differs is not written", async () => {
		const body = aMetric();
		const created = await done<MetricBody>("POST", METRICS, { body });
		const [before, rows] = [await changes(), await auditRows()];
		expect(await done("PUT", metricAt(body.key), { body, headers: { "x-tidegate-now": "5" } })).toEqual(created);
		expect([await changes(), await auditRows()]).toEqual([before, rows]);
	});

	test("keeps its key, and must be there to be changed", async () => {
		const { key } = await createMetric();
		expect(pointersOf(await refused(422, "PUT", metricAt(key), { body: aMetric() }))).toEqual(["/key"]);
		const body = aMetric();
		expect((await refused(404, "PUT", metricAt(body.key), { body })).type).toBe("urn:tidegate:problem:metric_missing");
		await refused(422, "PUT", metricAt("error"), { body: aMetric({ key: "error", kind: "rate" }) });
	});

	test("may leave its key to the path when it is replaced", async () => {
		const { key } = await createMetric();
		expect(await done("PUT", metricAt(key), { body: { kind: "mean", unit: "items" } })).toMatchObject({ key, kind: "mean", unit: "items" });
		const problem = await refused(409, "PUT", metricAt("error"), { body: { kind: "rate" } });
		expect(problem.type).toBe("urn:tidegate:problem:metric_standard");
		expect(pointersOf(await refused(422, "POST", METRICS, { body: { kind: "mean" } }))).toEqual(["/key"]);
	});

	test("is deleted, audited, and unknown to the edges", async () => {
		const { key } = await createMetric();
		expect((await send("DELETE", `${metricAt(key)}&reason=done`)).status).toBe(204);
		await refused(404, "GET", metricAt(key));
		await refused(404, "DELETE", metricAt(key));
		expect((await auditOf(`metrics/production/${key}`)).at(-1)).toMatchObject({
			action: "metric.deleted",
			reason: "done",
			before: { key },
			after: null,
		});
		expect((await published()).measured().metrics.map((each) => each.key)).not.toContain(key);
	});

	test("that is standard cannot be deleted", async () => {
		expect((await refused(409, "DELETE", metricAt("latency_ms"))).type).toBe("urn:tidegate:problem:metric_standard");
	});
});

describe("a metric that a rollout looks at", () => {
	test.each(["draft", "running", "paused"])(
		"(%s) keeps its kind and stays; all else may change, and the plan keeps what it had",
		async (status) => {
			const created = await createMetric({ kind: "mean" });
			const { key } = created;
			const { id } = await planned(key);
			if (status !== "draft") await command(id, "start");
			if (status === "paused") await command(id, "pause");
			const rows = await auditOf(`metrics/production/${key}`);
			for (const [method, sent] of [
				["PUT", { body: aMetric({ key, kind: "count" }) }],
				["DELETE", {}],
			] as const) {
				// oxlint-disable-next-line no-await-in-loop -- two requests
				const problem = await refused(409, method, metricAt(key), sent);
				expect(problem).toMatchObject({ type: "urn:tidegate:problem:metric_in_use", by: [id] });
				expect(problem.detail).toContain(`${id}${status === "draft" ? " (draft: cancel it)" : ""} keeps to metric ${key}`);
			}
			expect(await auditOf(`metrics/production/${key}`)).toEqual(rows);
			expect(await done("GET", metricAt(key))).toEqual(created);
			await done("PUT", metricAt(key), { body: aMetric({ key, kind: "mean", unit: "USD" }) });
			expect(await done("GET", `/api/v1/rollouts/${id}`)).toMatchObject({ plan: { metrics: [{ key, unit: "EUR" }] } });
		},
	);

	test("by several is refused in the plural", async () => {
		const { key } = await createMetric({ kind: "mean" });
		const [one, two] = [await planned(key), await planned(key)];
		await command(two.id, "start");
		const { detail } = await refused(409, "DELETE", metricAt(key));
		expect(detail).toContain(`${one.id} (draft: cancel it)`);
		expect(detail).not.toContain(`${two.id} (draft`);
		expect(detail).toContain(`keep to metric ${key} as it was planned: until they have ended`);
	});

	test.each(["roll_back", "cancel"])("is free after %s", async (end) => {
		const { key } = await createMetric({ kind: "mean" });
		const { id } = await planned(key);
		await command(id, "start");
		await command(id, end);
		await done("PUT", metricAt(key), { body: aMetric({ key, kind: "count" }) });
		await done("DELETE", metricAt(key));
	});

	test("in another environment is another's", async () => {
		const { key } = await createMetric({ kind: "mean" });
		await planned(key);
		await done("POST", "/api/v1/metrics?environment=staging", { body: aMetric({ key }) });
		await done("DELETE", metricAt(key, "staging"));
	});

	test("whose plan cannot be read any more is free", async () => {
		const { key } = await createMetric({ kind: "mean" });
		const { id } = await planned(key);
		await env.DB.prepare("UPDATE rollouts SET plan = '{' WHERE id = ?").bind(id).run();
		await done("DELETE", metricAt(key));
	});
});

describe("a metric whose row is damaged", () => {
	async function damaged(): Promise<string> {
		const { key } = await createMetric();
		await env.DB.prepare("UPDATE metric_definitions SET config = json_remove(config, '$.kind') WHERE key = ?").bind(key).run();
		return key;
	}

	test("is listed as such, and hides no other, not from the edges either", async () => {
		const [other, key] = [await createMetric(), await damaged()];
		const { metrics, damaged: found } = await list();
		expect(found).toContain(key);
		expect(metrics.map((each) => each.key)).toContain(other.key);
		expect((await refused(500, "GET", metricAt(key))).type).toBe("urn:tidegate:problem:metric_damaged");
		await createFlag();
		const known = (await published()).measured().metrics.map((each) => each.key);
		expect(known).toContain(other.key);
		expect(known).not.toContain(key);
		await done("DELETE", metricAt(key));
	});

	test("is healed by being replaced, or deleted", async () => {
		const [one, two] = [await damaged(), await damaged()];
		await done("PUT", metricAt(one), { body: aMetric({ key: one }) });
		expect(await done("GET", metricAt(one))).toMatchObject({ key: one, kind: "quantile" });
		expect((await auditOf(`metrics/production/${one}`)).at(-1)).toMatchObject({ action: "metric.changed", before: { damaged: true } });
		expect((await send("DELETE", metricAt(two))).status).toBe(204);
	});
});

test("an environment has 100 metrics of its own at most", { timeout: 30_000 }, async () => {
	const rows = Array.from({ length: 99 }, (_, i) => ({ key: `filler_${i}` }));
	await env.DB.prepare(
		`INSERT INTO metric_definitions (environment, key, config, updated_at_ms)
		SELECT 'staging', value ->> 'key', json_object('key', value ->> 'key', 'kind', 'mean'), 1 FROM json_each(?)`,
	)
		.bind(JSON.stringify(rows))
		.run();
	const staging = "/api/v1/metrics?environment=staging";
	const answers = await Promise.all([1, 2, 3].map(() => send("POST", staging, { body: aMetric() })));
	expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 409, 409]);
	const problem = await refused(409, "POST", staging, { body: aMetric() });
	expect(problem).toMatchObject({ type: "urn:tidegate:problem:too_many_metrics", limit: 100 });
	await done("DELETE", metricAt("filler_7", "staging"));
	await done("POST", staging, { body: aMetric() });
	await createMetric();
});
