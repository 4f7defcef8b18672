import { describe, expect, test } from "vitest";
import type { SystemStatus } from "../../../cli/answers";
import {
	type Check,
	type Probe,
	attributionChecks,
	clockChecks,
	controlCheck,
	edgeChecks,
	isolatesCheck,
	systemChecks,
} from "../../../cli/doctor/checks";

const answered = (body: unknown, over: Partial<Extract<Probe, { kind: "answered" }>> = {}): Probe => ({
	kind: "answered",
	status: 200,
	body,
	dateMs: null,
	tookMs: 40,
	atMs: 1_000_000,
	...over,
});
const SILENT: Probe = { kind: "unanswered", message: "gave no answer in 10 s" };

const aBreaker = (state: string) => ({
	state,
	untilMs: state === "closed" ? null : 1,
	settings: { rollbacks: 3, within: "1h", open: "30m", reset: "1h" },
	resetAtMs: null,
});

function aSystem(over: Partial<SystemStatus> = {}): SystemStatus {
	return {
		tick: { lastTickAgeMs: 20_000, guarded: true },
		publications: { pending: [] },
		environments: [],
		rollouts: { running: 1, paused: 0, damaged: [] },
		breaker: aBreaker("closed"),
		alerts: [],
		...over,
	};
}
const UNKNOWN = { unavailable: "no answer within 2000 ms" };
const alert = (active: boolean) => [{ atMs: 0, severity: "warn", rollout: "x.1", kind: "no_data", message: "nothing came", active }];

const statusOf = (checks: readonly Check[], name: string): string => checks.find((each) => each.name === name)?.status ?? "absent";

test("everything is ok where everything is well", () => {
	expect(systemChecks(aSystem()).map(({ status }) => status)).toEqual(["ok", "ok", "ok", "ok", "ok"]);
});

test.each<[name: string, over: Partial<SystemStatus>, status: string]>([
	["tick", { tick: { lastTickAgeMs: 180_000, guarded: true } }, "ok"],
	["tick", { tick: { lastTickAgeMs: 180_001, guarded: true } }, "warn"],
	["tick", { tick: { lastTickAgeMs: 900_000, guarded: false } }, "fail"],
	["tick", { tick: { lastTickAgeMs: null, guarded: false } }, "warn"],
	["tick", { tick: UNKNOWN }, "warn"],
	["publications", { publications: { pending: ["production"] } }, "warn"],
	["publications", { publications: UNKNOWN }, "warn"],
	["rollouts", { rollouts: { running: 0, paused: 1, damaged: [] } }, "warn"],
	["rollouts", { rollouts: { running: 0, paused: 0, damaged: ["x.1"] } }, "fail"],
	["breaker", { breaker: aBreaker("open") }, "warn"],
	["breaker", { breaker: aBreaker("half_open") }, "warn"],
	["breaker", { breaker: UNKNOWN }, "warn"],
	["break-glass", { breakGlass: null }, "absent"],
	["break-glass", { breakGlass: { kill: ["cart"], baseline: [], isUsable: true } }, "warn"],
	["break-glass", { breakGlass: { kill: [], baseline: ["x.1"], isUsable: true } }, "warn"],
	["break-glass", { breakGlass: { kill: [], baseline: [], isUsable: true } }, "absent"],
	["break-glass", { breakGlass: { kill: [], baseline: [], isUsable: false } }, "warn"],
	["break-glass", { breakGlass: UNKNOWN }, "warn"],
	["alerts", { alerts: alert(true) }, "warn"],
	["alerts", { alerts: alert(false) }, "ok"],
])("%s with %j: %s", (name, over, status) => expect(statusOf(systemChecks(aSystem(over)), name)).toBe(status));

test.each<[what: string, probe: Probe, status: string, says: string]>([
	["is ready", answered({ status: "ready" }), "ok", "is ready (40 ms)"],
	["is slow", answered({ status: "ready" }, { tookMs: 2_500 }), "warn", "after 2500 ms"],
	[
		"is not ready, and says why",
		answered({ status: "not ready", reason: "the database has no tables" }, { status: 503 }),
		"fail",
		"the database has no tables",
	],
	["is something else", answered("<html>"), "fail", "status 200"],
	["is silent", SILENT, "fail", "gave no answer in 10 s"],
])("control that %s: %s", (_what, probe, status, says) => {
	const check = controlCheck(probe, "https://c");
	expect(check).toMatchObject({ status, message: expect.stringContaining(says) as string });
	// Whatever is not well comes with what to do.
	expect(check.advice === undefined).toBe(status === "ok");
});

describe("the clock", () => {
	test.each<[skewMs: number, status: string]>([
		[0, "ok"],
		[-900, "ok"],
		[5_400, "ok"],
		[5_600, "warn"],
		[-7_000, "warn"],
		[61_000, "fail"],
	])("%i ms off is %s", (skewMs, status) => {
		const [check] = clockChecks(answered({}, { dateMs: 1_000_000 - 500 - skewMs }));
		expect(check?.status).toBe(status);
		if (skewMs > 5_500) expect(check?.message).toContain("ahead of");
	});

	test("is not compared where nothing is known of the other", () => {
		expect(clockChecks(SILENT)).toEqual([]);
		expect(clockChecks(answered({}))[0]?.message).toContain("not compared");
	});
});

describe("the edge", () => {
	const ready = (own?: object, events = "ready"): Probe =>
		answered({ status: "ready", events, environments: own === undefined ? {} : { production: own } });
	test.each<[what: string, probe: Probe, name: string, status: string]>([
		["is ready", ready({ version: 3, ageMs: 4_000 }), "edge", "ok"],
		["is silent", SILENT, "edge", "fail"],
		["is not ready", answered({ status: "not ready", reason: "no head" }, { status: 503 }), "edge", "fail"],
		["has a fresh head", ready({ version: 3, ageMs: 4_000 }), "head", "ok"],
		["has an old head", ready({ version: 3, ageMs: 26_000 }), "head", "warn"],
		["has KV's head", ready({ version: 3, ageMs: null }), "head", "warn"],
		["does not know the environment", ready(), "head", "warn"],
		["takes no events", ready({ version: 3, ageMs: 0 }, "not ready: no secret"), "events", "warn"],
		["takes events", ready({ version: 3, ageMs: 0 }), "events", "absent"],
	])("that %s", (_what, probe, name, status) => expect(statusOf(edgeChecks(probe, "https://e", "production"), name)).toBe(status));

	test("whose URL nobody knows is a warning that says how to name it", () => {
		expect(edgeChecks(undefined, undefined, "production")).toMatchObject([
			{ status: "warn", advice: expect.stringContaining("--edge <url>") as string },
		]);
	});
});

test.each<[events: number, of: number, status: string]>([
	[0, 100, "ok"],
	[5, 100, "ok"],
	[6, 100, "warn"],
	[0, 0, "ok"],
])("%i of %i outcomes that count for nothing: %s", (events, of, status) => {
	const health = {
		atMs: 0,
		decision: "hold",
		reason: "",
		message: "",
		level: "good",
		score: 1,
		percent: 5,
		judgement: { unattributed: { events, of } },
	};
	expect(attributionChecks([{ id: "x.1", health }])[0]?.status).toBe(status);
});

test.each([
	[
		{ isolates: 0, colos: 0, behind: 0, headRevision: 9, oldestRevision: null },
		"none was heard of in 2 minutes: nobody asks the edge for flags",
	],
	[{ isolates: 3, colos: 1, behind: 0, headRevision: 9, oldestRevision: 9 }, "3 in 1 colo, all at revision 9"],
	[{ isolates: 3, colos: 2, behind: 1, headRevision: 9, oldestRevision: 7 }, "3 in 2 colos, 1 not at revision 9 yet: the oldest is at 7"],
])("isolates %j are told as they are, and are no fault", (edges, message) =>
	expect(isolatesCheck(edges)).toEqual({ name: "isolates", status: "ok", message }),
);

test("rollouts that wait for approval or are on their way back are counted", () => {
	const rollouts = { running: 1, awaitingApproval: 2, paused: 0, rollingBack: 1, damaged: [] };
	expect(systemChecks(aSystem({ rollouts })).find(({ name }) => name === "rollouts")?.message).toBe(
		"1 running, 0 paused, 2 awaiting approval, 1 rolling back",
	);
});
