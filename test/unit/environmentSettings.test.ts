import { describe, expect, test } from "vitest";
import {
	DEFAULT_SETTINGS,
	type EnvironmentSettings,
	breakerSettingsOf,
	checkSettings,
	environmentSettings,
	storedSettings,
	withDefaults,
} from "../../core/environmentSettings";
import type { MetricDefinition } from "../../core/metric";
import { DEFAULT_BREAKER } from "../../core/rollouts/breaker";
import { completePlan, withPreset, plan as writtenPlan } from "../../core/rollouts/writtenPlan";
import { aPlan } from "./rollouts/fixtures";

test("nothing need be said: the defaults act, with the breaker's own", () => {
	expect(environmentSettings.parse({})).toEqual({
		automation: "act",
		breaker: { rollbacks: 3, within: "1h", open: "30m", reset: "1h" },
		defaults: { guards: [], red_flags: [] },
	});
	expect(DEFAULT_SETTINGS).toEqual(environmentSettings.parse({}));
	expect(breakerSettingsOf(DEFAULT_SETTINGS)).toEqual(DEFAULT_BREAKER);
});

test("what is said of one part leaves the others as they are", () => {
	const settings = environmentSettings.parse({ breaker: { open: "2h" }, defaults: { min_users: 500 } });
	expect(settings).toMatchObject({ breaker: { rollbacks: 3, open: "2h", reset: "1h" }, defaults: { guards: [], min_users: 500 } });
	expect(breakerSettingsOf(settings).openMs).toBe(7_200_000);
});

test.each<[path: string, input: unknown]>([
	["automation", { automation: "watch" }],
	["breaker.rollbacks", { breaker: { rollbacks: 0 } }],
	["breaker.rollbacks", { breaker: { rollbacks: 1_001 } }],
	["breaker.within", { breaker: { within: "soon" } }],
	["breaker.open", { breaker: { open: "0m" } }],
	["breaker.reset", { breaker: { reset: "2d" } }],
	["defaults.min_users", { defaults: { min_users: 0 } }],
	["defaults.on_control_loss", { defaults: { on_control_loss: "panic" } }],
	["defaults.guards", { defaults: { guards: Array.from({ length: 21 }, () => "error_rate vs control <= +25%") } }],
	["", { automations: "act" }],
	["breaker", { breaker: { rollback: 3 } }],
	["defaults", { defaults: { holdback: 5 } }],
])("refuses %s of %j", (path, input) => {
	const { error } = environmentSettings.safeParse(input);
	expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});

test("what a later version has stored is read without what this one does not know", () => {
	expect(storedSettings.parse({ automation: "advise", mood: "calm", breaker: { rollbacks: 5, half: "1m" } })).toMatchObject({
		automation: "advise",
		breaker: { rollbacks: 5, within: "1h" },
	});
});

describe("criteria that every plan may get", () => {
	const settings = (defaults: Record<string, unknown>): EnvironmentSettings => environmentSettings.parse({ defaults });
	const own: MetricDefinition = { key: "refund", kind: "rate", unit: "", better: "lower", harm: null, description: "" };

	test("are read, the environment's own metrics among them", () => {
		const fine = settings({ guards: ["error_rate vs control <= +25%"], red_flags: ["error_rate > 10%", "refund_rate > 5%"] });
		expect(checkSettings(fine, [own])).toEqual([]);
		expect(checkSettings(fine, [])).toMatchObject([{ pointer: "/defaults/red_flags/1" }]);
	});

	test("are refused where they belong elsewhere, each with its place", () => {
		const wrong = settings({ guards: ["error_rate < 3%"], red_flags: ["error_rate < 3%", "error_rate vs control <= +25%"] });
		expect(checkSettings(wrong, [])).toMatchObject([
			{ pointer: "/defaults/guards/0", message: expect.stringContaining("(at character 12)") as string },
			{ pointer: "/defaults/red_flags/0" },
			{ pointer: "/defaults/red_flags/1" },
		]);
	});
});

describe("a plan gets from its environment", () => {
	const defaults: EnvironmentSettings["defaults"] = {
		guards: ["fallback_rate vs control <= +10%"],
		red_flags: ["fallback_rate > 50%"],
		min_users: 500,
		on_control_loss: "retreat",
	};
	const plan = aPlan({ guards: [], red_flags: [] });

	test("what it does not name", () => {
		expect(withDefaults(plan, ["rollout", "flags"], defaults)).toEqual({ ...plan, ...defaults });
	});

	test.each(["guards", "red_flags", "min_users", "on_control_loss"] as const)("but not %s where it names them, even as none", (field) => {
		expect(withDefaults(plan, [field], defaults)).toEqual({ ...plan, ...defaults, [field]: plan[field] });
	});

	test("guards besides those of the preset that it names", () => {
		const quick = { rollout: "x", environment: "production", flags: ["x"], strategy: "canary", preset: "quick" };
		const latency = "latency_ms p95 vs control <= +20%";
		const completed = (change: Record<string, unknown>, guards: string[]) => {
			const given = { ...quick, ...change };
			return completePlan(withDefaults(withPreset(writtenPlan.parse(given)), Object.keys(given), { ...defaults, guards }), []);
		};
		expect(completed({}, defaults.guards)).toMatchObject({ errors: [], plan: { guards: [...defaults.guards, latency] } });
		expect(completed({}, [latency])).toMatchObject({ errors: [], plan: { guards: [latency] } });
		expect(completed({}, [])).toMatchObject({ errors: [], plan: { guards: [latency] } });
		const own = ["error_rate vs control <= +25%"];
		expect(completed({ guards: own }, defaults.guards)).toMatchObject({ errors: [], plan: { guards: own } });
	});

	test("nothing where the environment says nothing", () => {
		expect(withDefaults(plan, [], DEFAULT_SETTINGS.defaults)).toEqual(plan);
	});
});
