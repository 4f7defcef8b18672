import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, expect, test, vi } from "vitest";
import type { MetricsSource } from "../../../../control/metrics/source";
import { embedded } from "../../../../control/metrics/embedded";
import type { Database } from "../../../../control/store/database";
import { createFlag } from "../../../../control/store/flags";
import { pendingEnvironments, readHead } from "../../../../control/store/publication";
import { latestCheck } from "../../../../control/store/rollouts";
import { tick } from "../../../../control/tick/tick";
import { HARMFUL, HEALTHY, MINUTE_MS, START_MS, aFlag, aTick, current, db, outcomes, started } from "./fixtures";

/** A step of the tick that fails keeps no other from being taken. */

/** Later tests tick later: an earlier tick does nothing. */
let minute = 0;
const nextMinute = () => START_MS + ++minute * MINUTE_MS;
let count = 0;

/** A database that fails where it is told to; drizzle's own way to it, `$client` apart, is left alone. */
function dbThat(fails: Partial<Record<"batch" | "prepare", (call: () => unknown, given: unknown) => unknown>>): Database {
	const $client = new Proxy(env.DB, {
		get(target, property) {
			const method = Reflect.get(target, property).bind(target) as (...args: unknown[]) => unknown;
			const fail = fails[property as "batch"];
			return fail ? (...args: unknown[]) => fail(() => method(...args), args[0]) : method;
		},
	});
	return new Proxy(db, {
		get: (target, property) => {
			if (property === "$client") return $client;
			const found = Reflect.get(target, property) as unknown;
			return typeof found === "function" ? (found.bind(target) as unknown) : found;
		},
	});
}

async function somethingPending(): Promise<string> {
	const key = `pending-${++count}`;
	const act = { actor: "test", reason: "", correlationId: "c", atMs: START_MS };
	await createFlag(db, "production", aFlag(key), act);
	expect(await pendingEnvironments(db)).toContain("production");
	return key;
}

async function isPublished(key: string): Promise<boolean> {
	const { head } = await readHead(db);
	const body = await env.SNAPSHOTS.get(`snapshot/production/${head.environments["production"]?.version ?? 0}`);
	return body?.includes(`\n${key}\t`) ?? false;
}

let warn: MockInstance<typeof console.warn>;
const logged = () => warn.mock.calls.map(([line]) => JSON.parse(String(line)) as unknown);

beforeEach(() => void (warn = vi.spyOn(console, "warn").mockImplementation(() => {})));
afterEach(async () => {
	vi.restoreAllMocks();
	vi.useRealTimers();
	await env.DB.prepare("UPDATE rollouts SET status = 'draft' WHERE status = 'running'").run();
});

test("guarding that fails is logged and does not stop publishing; edges learn that nobody guards, and the tick can be tried again", async () => {
	const { id } = await started("guarded");
	await tick(aTick(), nextMinute());
	const before = await readHead(db);
	const key = await somethingPending();
	const now = nextMinute();
	const failing = dbThat({ batch: () => Promise.reject(new Error("D1_ERROR: overloaded")) });
	await tick({ ...aTick({ db: failing }), realNow: () => Date.now() + 1_000 }, now);
	expect(await isPublished(key)).toBe(true);
	expect(logged()).toContainEqual({ event: "tick_step_failed", step: "guard", error: "D1_ERROR: overloaded" });
	const after = await readHead(db);
	expect([after.guardedAtMs, after.lastTickMs]).toEqual([before.guardedAtMs, before.lastTickMs]);
	await tick({ ...aTick(), realNow: () => Date.now() + 1_000 }, now);
	expect(await latestCheck(db, id)).toMatchObject({ atMs: now, reason: "no_data" });
	expect((await readHead(db)).guardedAtMs).toBeGreaterThan(before.guardedAtMs);
});

test("metrics that cannot be read do not stop publishing", async () => {
	const { id } = await started("unread");
	const key = await somethingPending();
	const dead: MetricsSource = { ...embedded(env.DB), watermark: () => Promise.reject(new Error("connection refused")) };
	const now = nextMinute();
	await tick(aTick({ metrics: dead }), now);
	expect(await isPublished(key)).toBe(true);
	expect(await latestCheck(db, id)).toMatchObject({ atMs: now, reason: "source_error" });
});

test.each<[string, Partial<MetricsSource>]>([
	["watermark", { watermark: () => new Promise(() => {}) }],
	["one question", { firstHarms: () => new Promise(() => {}) }],
])("metrics that never answer (%s) are waited for 20 s, and do not stop publishing", async (what, silent) => {
	const { id } = await started(`silent-${what.replace(" ", "-")}`);
	const key = await somethingPending();
	const asked = Promise.withResolvers<void>();
	const metrics: MetricsSource = { ...embedded(env.DB), ...silent };
	const watched = Object.fromEntries(
		Object.keys(silent).map((name) => [
			name,
			() => {
				asked.resolve();
				return new Promise<never>(() => {});
			},
		]),
	);
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	const now = nextMinute();
	let isDone = false;
	const ticked = tick(aTick({ metrics: { ...metrics, ...watched } }), now).then(() => (isDone = true));
	await asked.promise;
	await vi.advanceTimersByTimeAsync(19_999);
	expect(isDone).toBe(false);
	await vi.advanceTimersByTimeAsync(1);
	await ticked;
	vi.useRealTimers();
	expect(await isPublished(key)).toBe(true);
	expect(await latestCheck(db, id)).toMatchObject({ atMs: now, reason: "source_error" });
});

test("a rollback whose check cannot be kept is a rollback, and the others are guarded", async () => {
	const [harmful, healthy] = [await started("harmed"), await started("unharmed")];
	await Promise.all([outcomes(harmful, HARMFUL), outcomes(healthy, HEALTHY)]);
	const key = await somethingPending();
	const now = nextMinute();
	let checks = 0;
	const failing = dbThat({
		prepare: (call, sql) => {
			// The healthy one's come first.
			if (!String(sql).includes("INTO health_checks") || ++checks < 2) return call();
			throw new Error("D1_ERROR: overloaded");
		},
	});
	await tick(aTick({ db: failing }), now);
	expect((await current(harmful.id)).status).toBe("rolled_back");
	expect(logged()).toContainEqual({ event: "tick_step_failed", step: "record_checks", error: "D1_ERROR: overloaded" });
	expect(await latestCheck(db, healthy.id)).toMatchObject({ atMs: now });
	expect(await isPublished(key)).toBe(true);
	expect((await readHead(db)).lastTickMs).toBe(now);
});

test("pruning that fails keeps neither the tick from completing nor old checks from going", async () => {
	const { id } = await started("pruned");
	const hour = 3_600_000;
	const full = Math.ceil(nextMinute() / hour) * hour;
	await tick(aTick(), full);
	const monthLater = full + 31 * 24 * hour;
	const failing = dbThat({
		batch: (() => {
			let calls = 0;
			// The first batch is that of the holds, the second one forgets telemetry.
			return (call: () => unknown) => (++calls === 2 ? Promise.reject(new Error("D1_ERROR: overloaded")) : call());
		})(),
	});
	await tick(aTick({ db: failing }), monthLater);
	expect(logged()).toContainEqual({ event: "tick_step_failed", step: "prune", error: "D1_ERROR: overloaded" });
	expect((await readHead(db)).lastTickMs).toBe(monthLater);
	const checks = await env.DB.prepare("SELECT at_ms FROM health_checks WHERE rollout = ?").bind(id).all();
	expect(checks.results).toEqual([{ at_ms: monthLater }]);
});
