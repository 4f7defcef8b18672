import { describe, expect, test } from "vitest";
import * as z from "zod";
import { environmentSettings } from "../../../core/environmentSettings";
import { fieldErrors } from "../../../core/flags/fieldErrors";
import { flagInput } from "../../../core/flags/model";
import { segmentInput } from "../../../core/flags/segment";
import { simpleFlag } from "../../../core/flags/simple";
import { plan } from "../../../core/rollouts/writtenPlan";

const told = (schema: z.ZodType, given: unknown): string[] =>
	fieldErrors(schema.safeParse(given).error?.issues ?? [], given).map(({ pointer, message }) => `${pointer} ${message}`);

const PHASE = { percent: 100, hold: "1h" };
const PLAN = { rollout: "checkout", environment: "production", flags: ["checkout"], phases: [PHASE] };
const ofPhase = (change: object): object => ({ phases: [{ ...PHASE, ...change }] });

describe("of a plan is said in plain words", () => {
	test.each<[what: string, change: object, told: string]>([
		["a percent beyond 100", ofPhase({ percent: 150 }), "/phases/0/percent takes at most 100, not 150"],
		["a percent below 0", ofPhase({ percent: -1 }), "/phases/0/percent takes at least 0, not -1"],
		["a percent as a text", ofPhase({ percent: "50%" }), "/phases/0/percent takes a number, not a text: write 50"],
		["a holdback beyond its own bound", { holdback: 60 }, "/holdback takes at most 50, not 60"],
		["users by halves", { min_users: 1.5 }, "/min_users takes a whole number, not 1.5"],
		["a name that is too long", { rollout: "x".repeat(58) }, "/rollout takes at most 57 characters, not 58"],
		["a name that is empty", ofPhase({ name: "" }), "/phases/0/name must not be empty"],
		["no phases", { phases: [] }, "/phases must not be empty"],
		["too many red flags", { red_flags: Array(21).fill("a") }, "/red_flags takes at most 20 entries, not 21"],
		["a hold without its unit", ofPhase({ hold: 30 }), "/phases/0/hold is no duration without its unit: write 30s, 30m or 30h"],
		["the same in quotes", ofPhase({ hold: "30" }), "/phases/0/hold is no duration without its unit: write 30s, 30m or 30h"],
		["a hold in words", ofPhase({ hold: "soon" }), '/phases/0/hold is no duration: write "90s", "5m", "2h" or "3d"'],
		["a time-out without its unit", { timeout: 6 }, "/timeout is no duration without its unit: write 6s, 6m or 6h"],
		[
			"a step of the way back without it",
			{ rollback: { every: 10 } },
			"/rollback/every is no duration without its unit: write 10s, 10m or 10h",
		],
		["one flag alone", { flags: "new-checkout" }, '/flags takes a list, not a text: write ["new-checkout"]'],
		["flags with commas", { flags: "a, b" }, '/flags takes a list, not a text: write ["a", "b"]'],
		["a criterion alone", { criteria: "error_rate < 3%" }, '/criteria takes a list, not a text: write ["error_rate < 3%"]'],
		["a phase alone", { phases: PHASE }, "/phases takes a list: [{percent: 5, hold: 30m}, …]"],
		["percents as a text", { percents: "5,50,100" }, "/percents takes a list of percents: [5, 25, 100]"],
		["a way back by its name", { rollback: "gradual" }, "/rollback takes an object: {strategy: gradual}"],
		["steps as one", { rollback: { steps: "https://x.example" } }, "/rollback/steps takes a list: [{name: purge, http: https://…}]"],
		["who is excluded as a list", { exclude: ["ann"] }, "/exclude takes {keys: [ann]} or {segments: [resellers]}"],
		["a day alone", ofPhase({ not_before: 8 }), '/phases/0/not_before takes {day: 8}, or a time as in "2026-01-31T12:00:00Z"'],
		["a candidate that is true", { candidate: true }, '/candidate takes a text, not a boolean: write "true", in quotes'],
		["yes to an approval", { approval: "yes" }, "/approval takes auto, manual or {approvers: 2}"],
		["a mistyped approval", { approval: "manul" }, '/approval takes auto, manual or {approvers: 2}: did you mean "manual"?'],
		["too many approvers", { approval: { approvers: 20 } }, "/approval/approvers takes at most 10, not 20"],
		["an environment that is cut short", { environment: "prod" }, '/environment takes production or staging: did you mean "production"?'],
		["no environment", { environment: undefined }, "/environment is required: production or staging"],
		["a mistyped preset", { preset: "quik" }, '/preset takes quick: did you mean "quick"?'],
		[
			"a mistyped strategy",
			{ strategy: "canry" },
			'/strategy takes phased, canary, percentage, ring, blue-green, schedule or compare-first: did you mean "canary"?',
		],
		[
			"a mistyped way back",
			{ rollback: { strategy: "Gradul" } },
			'/rollback/strategy takes immediate, gradual, feature, targeted, version or full: did you mean "gradual"?',
		],
		["a version of a flag that cannot be", { rollback: { versions: { "A b": 1 } } }, "/rollback/versions/A b its name: lower-case letters"],
	])("%s", (_what, change, says) => {
		expect(told(plan, { ...PLAN, ...change })).toEqual([expect.stringContaining(says)]);
	});
});

test.each<[what: string, schema: z.ZodType, given: unknown, told: string]>([
	["a status of the simple format", simpleFlag, { name: "a", status: "on" }, "/status takes percentage, enabled or disabled"],
	["a mistyped one", simpleFlag, { name: "a", status: "enable" }, '/status takes percentage, enabled or disabled: did you mean "enabled"?'],
	["a flag's type", flagInput, { key: "a", type: "bool" }, '/type takes boolean, string, number or object: did you mean "boolean"?'],
	["a flag without a type", flagInput, { key: "a" }, "/type is required: boolean, string, number or object"],
	["one tag", flagInput, { key: "a", type: "boolean", tags: "shop" }, '/tags takes a list, not a text: write ["shop"]'],
	[
		"a description that is too long",
		segmentInput,
		{ key: "a", description: "x".repeat(2_001) },
		"/description takes at most 2000 characters, not 2001",
	],
	["an automation", environmentSettings, { automation: "advice" }, '/automation takes act or advise: did you mean "advise"?'],
	[
		"a breaker's time",
		environmentSettings,
		{ breaker: { open: 30 } },
		"/breaker/open is no duration without its unit: write 30s, 30m or 30h",
	],
	["one that is too long", environmentSettings, { breaker: { open: "2d" } }, "/breaker/open takes a duration up to a day"],
	["a breaker's count", environmentSettings, { breaker: { rollbacks: 0 } }, "/breaker/rollbacks takes at least 1, not 0"],
])("and so is %s", (_what, schema, given, says) => {
	expect(told(schema, given)).toEqual([expect.stringContaining(says)]);
});

test("what is not there is only required, whatever its prototype calls so", () => {
	const schema = z.strictObject({ constructor: z.enum(["a", "b"]), at: z.number() });
	expect(told(schema, {})).toEqual(["/constructor is required: a or b", "/at is required"]);
});

test("a long text is not repeated in the message", () => {
	expect(told(plan, { ...PLAN, flags: "x".repeat(201) })).toEqual(["/flags takes a list, not a text"]);
});
