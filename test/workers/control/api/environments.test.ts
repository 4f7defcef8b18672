import { env } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { auditOf, createFlag, createRollout, done, newKey, pointersOf, refused, send } from "./harness";

interface SettingsBody {
	readonly version: number;
	readonly damaged: boolean;
	readonly automation: string;
	readonly breaker: Record<string, unknown>;
	readonly defaults: Record<string, unknown>;
}
interface BreakerBody {
	readonly state: string;
	readonly untilMs: number | null;
	readonly settings: Record<string, unknown>;
	readonly resetAtMs: number | null;
}

const NOW_MS = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const ENVIRONMENTS = "/api/v1/environments";
const SETTINGS = `${ENVIRONMENTS}/production/settings`;
const RESET = `${ENVIRONMENTS}/production/breaker/reset`;
const DEFAULTS = {
	automation: "act",
	breaker: { rollbacks: 3, within: "1h", open: "30m", reset: "1h" },
	defaults: { guards: [], red_flags: [] },
	damaged: false,
};
const ifMatch = (version: number) => ({ "if-match": `"${version}"` });
const at = (nowMs: number) => ({ "x-tidegate-now": String(nowMs) });

let warn: MockInstance<typeof console.warn>;
beforeEach(async () => {
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	await env.DB.batch(["environment_settings", "rollout_events"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
});
afterEach(() => vi.restoreAllMocks());

const put = (body: unknown, version = 0, path = SETTINGS): Promise<SettingsBody> => done("PUT", path, { body, headers: ifMatch(version) });

/** As ticks write them, so many minutes ago. */
async function rolledBack(...minutesAgo: readonly number[]): Promise<void> {
	const { id } = await createRollout();
	await env.DB.batch(
		minutesAgo.map((minutes, i) =>
			env.DB.prepare(
				`INSERT INTO rollout_events (rollout, revision, at_ms, recorded_at_ms, kind, reason, message, actor, correlation_id, before, after)
				VALUES (?, ?, ?, 0, 'roll_back', 'harm_proven', '', 'tidegate', '', '{}', '{}')`,
			).bind(id, i + 1, NOW_MS - minutes * MINUTE_MS),
		),
	);
}

const all = async (nowMs = NOW_MS) =>
	(
		await done<{
			environments: { environment: string; version: number; pending: boolean; breaker: BreakerBody; settings: SettingsBody }[];
		}>("GET", ENVIRONMENTS, { headers: at(nowMs) })
	).environments;

describe("an environment's settings", () => {
	test("are the defaults until somebody changes them", async () => {
		const { status, headers, body } = await send<SettingsBody>("GET", SETTINGS);
		expect([status, headers.get("etag")]).toEqual([200, '"0"']);
		expect(body).toEqual({ environment: "production", version: 0, ...DEFAULTS });
	});

	test("are replaced whole, and audited with reason, before and after", async () => {
		const before = (await auditOf("environments/production")).length;
		const first = await put({ automation: "advise", breaker: { open: "1h" } }, 0, `${SETTINGS}?reason=new+team`);
		expect(first).toMatchObject({ version: 1, automation: "advise", breaker: { rollbacks: 3, open: "1h" } });
		const second = await put({ defaults: { min_users: 500 } }, 1);
		expect(second).toEqual({ environment: "production", version: 2, ...DEFAULTS, defaults: { ...DEFAULTS.defaults, min_users: 500 } });
		expect(await done("GET", SETTINGS)).toEqual(second);
		const rows = (await auditOf("environments/production")).slice(before);
		expect(rows).toMatchObject([
			{
				action: "environment.settings_changed",
				reason: "new team",
				actor: "admin",
				before: { automation: "act" },
				after: { automation: "advise" },
			},
			{ before: { automation: "advise" }, after: { automation: "act", defaults: { min_users: 500 } } },
		]);
		expect((await done<SettingsBody>("GET", `${ENVIRONMENTS}/staging/settings`)).version).toBe(0);
	});

	test("are changed by whoever has read them, and by nobody else", async () => {
		expect(await refused(428, "PUT", SETTINGS, { body: {} })).toMatchObject({ currentVersion: 0 });
		await put({ automation: "advise" });
		expect(await refused(412, "PUT", SETTINGS, { body: {}, headers: ifMatch(0) })).toMatchObject({ currentVersion: 1 });
		expect(await done("GET", SETTINGS)).toMatchObject({ automation: "advise", version: 1 });
	});

	test("of two who change them at once are one's, and the other is told", async () => {
		const both = await Promise.all(
			["30m", "40m"].map((open) => send("PUT", SETTINGS, { body: { breaker: { open } }, headers: ifMatch(0) })),
		);
		expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 412]));
		expect(await done("GET", SETTINGS)).toMatchObject({ version: 1 });
	});

	test("are refused with the places of what is wrong, criteria among them", async () => {
		const wrong = { breaker: { open: "later" }, automation: "watch", mood: "calm" };
		expect([...pointersOf(await refused(422, "PUT", SETTINGS, { body: wrong, headers: ifMatch(0) }))].sort()).toEqual([
			"/automation",
			"/breaker/open",
			"/mood",
		]);
		const defaults = { guards: ["error_rate < 3%"], red_flags: ["moonshine_rate > 3%"] };
		expect(pointersOf(await refused(422, "PUT", SETTINGS, { body: { defaults }, headers: ifMatch(0) }))).toEqual([
			"/defaults/guards/0",
			"/defaults/red_flags/0",
		]);
		expect(await done("GET", SETTINGS)).toMatchObject({ version: 0 });
	});

	test("that cannot be read count as the defaults, say so, and can be replaced", async () => {
		await put({ automation: "advise" });
		await env.DB.prepare("UPDATE environment_settings SET config = '{'").run();
		expect(await done("GET", SETTINGS)).toEqual({ environment: "production", version: 1, ...DEFAULTS, damaged: true });
		expect(warn.mock.calls.map(([line]) => String(line))).toContain('{"event":"settings_corrupt","environment":"production"}');
		expect(await put({ automation: "advise" }, 1)).toMatchObject({ version: 2, damaged: false, automation: "advise" });
	});

	test("of no environment are refused", async () => {
		expect(pointersOf(await refused(422, "GET", `${ENVIRONMENTS}/moon/settings`))).toEqual(["/environment"]);
	});
});

describe("a plan that says nothing of its own", () => {
	const defaults = {
		guards: ["fallback_rate vs control <= +10%"],
		red_flags: ["fallback_rate > 50%"],
		min_users: 500,
		on_control_loss: "retreat",
	};
	const silent = { guards: undefined, red_flags: undefined };

	test("gets its environment's defaults, and keeps them when those change", async () => {
		await put({ defaults });
		const { id, plan } = await createRollout(silent);
		expect(plan).toMatchObject(defaults);
		await put({}, 1);
		expect((await done<{ plan: unknown }>("GET", `/api/v1/rollouts/${id}`)).plan).toMatchObject(defaults);
		expect((await createRollout(silent)).plan).toMatchObject({ guards: [], red_flags: [], min_users: 100, on_control_loss: "hold" });
	});

	test("but what it names is its own, also where that is nothing", async () => {
		await put({ defaults });
		const own = { guards: ["error_rate vs control <= +25%"], red_flags: [], min_users: 100, on_control_loss: "hold" };
		expect((await createRollout(own)).plan).toMatchObject(own);
	});

	test("has a default guard's metric with it, as every plan", async () => {
		const key = newKey().replace("-", "_");
		await done("POST", "/api/v1/metrics?environment=production", { body: { key, kind: "rate" } });
		await put({ defaults: { guards: [`${key}_rate vs control <= +10%`] } });
		expect((await createRollout(silent)).plan).toMatchObject({ metrics: [{ key }] });
	});

	test("in another environment gets nothing", async () => {
		await put({ defaults });
		const key = newKey();
		await done("POST", "/api/v1/flags?environment=staging", { body: { key, type: "boolean" } });
		expect((await createRollout({ ...silent, environment: "staging", flags: [key] })).plan).toMatchObject({ guards: [], min_users: 100 });
	});
});

describe("the environments", () => {
	test("are told with version, breaker and settings", async () => {
		await put({ automation: "advise" });
		await createFlag();
		const [production, staging] = await all();
		expect(production).toMatchObject({
			environment: "production",
			version: expect.any(Number) as number,
			pending: expect.any(Boolean) as boolean,
			breaker: { state: "closed", untilMs: null, settings: DEFAULTS.breaker, resetAtMs: null },
			settings: { version: 1, automation: "advise" },
		});
		expect(staging).toMatchObject({ environment: "staging", settings: { version: 0, ...DEFAULTS } });
	});

	test("have breakers by their own settings", async () => {
		await rolledBack(20, 15, 10);
		expect((await all())[0]?.breaker).toMatchObject({ state: "open", untilMs: NOW_MS + 20 * MINUTE_MS });
		expect((await all(NOW_MS + 20 * MINUTE_MS))[0]?.breaker).toMatchObject({ state: "half_open", untilMs: NOW_MS + 50 * MINUTE_MS });
		expect((await all())[1]?.breaker).toMatchObject({ state: "closed" });
		await put({ breaker: { open: "5m", reset: "20m" } });
		expect((await all())[0]?.breaker).toMatchObject({ state: "half_open", untilMs: NOW_MS + 10 * MINUTE_MS });
		await put({ breaker: { rollbacks: 4 } }, 1);
		expect((await all())[0]?.breaker).toMatchObject({ state: "closed", untilMs: null });
	});

	test("look as far back as the longest of their settings says", async () => {
		await rolledBack(1_000, 600, 200);
		expect((await all())[0]?.breaker).toMatchObject({ state: "closed" });
		await put({ breaker: { within: "24h", open: "5h" } });
		expect((await all())[0]?.breaker).toMatchObject({ state: "open", untilMs: NOW_MS + 100 * MINUTE_MS });
	});
});

describe("a breaker that a person resets", () => {
	const reset = (body: unknown, nowMs = NOW_MS) => done<BreakerBody>("POST", RESET, { body, headers: at(nowMs) });

	test("is closed: what was rolled back before counts no longer, and what comes after does", async () => {
		await rolledBack(20, 15, 10);
		const before = (await auditOf("environments/production")).length;
		expect(await reset({ reason: "one cause, fixed" })).toEqual({
			state: "closed",
			untilMs: null,
			settings: DEFAULTS.breaker,
			resetAtMs: NOW_MS,
		});
		expect((await all())[0]?.breaker).toMatchObject({ state: "closed", resetAtMs: NOW_MS });
		await rolledBack(-1, -2);
		expect((await all(NOW_MS + 3 * MINUTE_MS))[0]?.breaker).toMatchObject({ state: "closed" });
		await rolledBack(-3);
		expect((await all(NOW_MS + 4 * MINUTE_MS))[0]?.breaker).toMatchObject({ state: "open" });
		expect((await auditOf("environments/production")).slice(before)).toMatchObject([
			{ action: "environment.breaker_reset", reason: "one cause, fixed", before: { kind: "open" }, after: { kind: "closed" } },
		]);
	});

	test("keeps the settings, and the other environments' breakers, as they are", async () => {
		await put({ breaker: { rollbacks: 2 } });
		await reset({});
		expect(await done("GET", SETTINGS)).toMatchObject({ version: 1, breaker: { rollbacks: 2 } });
		expect(await put({ breaker: { rollbacks: 5 } }, 1)).toMatchObject({ version: 2 });
		const [production, staging] = await all();
		expect([production?.breaker.resetAtMs, staging?.breaker.resetAtMs]).toEqual([NOW_MS, null]);
	});

	test("before anything was set leaves the settings to be set, and an earlier reset undoes no later one", async () => {
		await reset({});
		await reset({}, NOW_MS - MINUTE_MS);
		expect((await all())[0]).toMatchObject({ breaker: { resetAtMs: NOW_MS }, settings: { version: 0, damaged: false } });
		expect(await put({ automation: "advise" })).toMatchObject({ version: 1 });
		expect((await all())[0]?.breaker.resetAtMs).toBe(NOW_MS);
	});
});
