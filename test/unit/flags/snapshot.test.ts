import * as fc from "fast-check";
import { expect, test } from "vitest";
import { tableOf } from "../../../control/patterns/tables";
import { BUCKETS } from "../../../core/flags/bucket";
import { evaluate } from "../../../core/flags/evaluate";
import { NO_OVERLAY } from "../../../core/flags/overlay";
import { openSnapshot } from "../../../core/flags/ruleset";
import { type EnvironmentState, bucketsOf, pack, packFlag } from "../../../core/flags/snapshot";
import type { Signal } from "../../../core/health/signal";
import type { MetricShape } from "../../../core/metric";
import { aFlag, aRollout, aRule, aSegment, anEnvironment, bodyOf, decode, encode, open } from "./fixtures";
import { someEnvironment } from "./random";

const TAB = 9;
const NEWLINE = 10;

/** n flags, each with a text of its own; keys that are one another's beginnings. */
function flagsOf(n: number) {
	return Array.from({ length: n }, (_, i) => {
		const key = `f${i.toString(7)}`;
		return aFlag({ key, type: "string", variants: { only: `value of ${key}` }, offVariant: "only", fallthrough: "only", salt: key });
	});
}

test("a flag packs to indexes, upper bounds and seeds", () => {
	const flag = aFlag({
		fallthrough: "false",
		rules: [
			aRule({
				serve: [
					{ variant: "true", weight: 30_000 },
					{ variant: "false", weight: 70_000 },
				],
			}),
		],
	});
	expect(packFlag(flag, aRollout(), tableOf)).toMatchObject({
		names: ["true", "false"],
		values: [true, false],
		off: 1,
		fallthrough: 1,
		rules: [
			{
				id: "swiss",
				serve: [30_000, 0, 100_000, 1],
			},
		],
		rollout: { key: "checkout.1", served: 5_000, candidate: 0, baseline: 1, phase: "phase_1" },
	});
});

test.each<[string, () => unknown, RegExp]>([
	["an unknown variant", () => packFlag(aFlag({ fallthrough: "on" }), undefined, tableOf), /flag checkout has no variant on/],
	["an unknown candidate", () => packFlag(aFlag(), aRollout({ flags: { checkout: "on" } }), tableOf), /flag checkout has no variant on/],
	[
		"a rollout without a baseline",
		() => packFlag(aFlag({ fallthrough: [{ variant: "true", weight: 100_000 }] }), aRollout(), tableOf),
		/rollout checkout\.1 has no baseline/,
	],
])("%s cannot be packed", (_, packing, message) => expect(packing).toThrow(message));

test.each([
	[0, 0],
	[0.001, 1],
	[0.1, 100],
	[1.005, 1_005],
	[33.333, 33_333],
	[64.1, 64_100],
	[95, 95_000],
	[100, 100_000],
])("%d %% are %d buckets", (percent, buckets) => expect(bucketsOf(percent)).toBe(buckets));

test("the same state packs to the same bytes, in whatever order it comes", () => {
	fc.assert(
		fc.property(someEnvironment, (state) => {
			const reversed: EnvironmentState = {
				...state,
				flags: state.flags.toReversed(),
				segments: state.segments.toReversed(),
				metrics: state.metrics.toReversed(),
				rollouts: state.rollouts
					.toReversed()
					.map((rollout) => ({ ...rollout, flags: Object.fromEntries(Object.entries(rollout.flags).toReversed()) })),
			};
			expect(bodyOf(reversed)).toBe(bodyOf(state));
		}),
	);
});

test("the first line is the body's first line, and says what it is", () => {
	const { firstLine, body } = pack(anEnvironment(), tableOf);
	expect(body.startsWith(`${firstLine}\n`)).toBe(true);
	expect(JSON.parse(firstLine)).toEqual({ schema: 1, environment: "production", version: 7, publishedAtMs: 1_000 });
	expect(open(anEnvironment()).header).toEqual(JSON.parse(firstLine));
});

test.each([0, 1, 2, 3, 1_000])("of %i flags every one is found, and none that is not there", (n) => {
	const flags = flagsOf(n);
	const snapshot = open(anEnvironment({ flags }));
	for (const { key, variants } of flags) expect(snapshot.flag(key)).toMatchObject({ values: [variants["only"]] });
	const known = new Set(flags.map(({ key }) => key));
	const near = flags.flatMap(({ key }) => [key.slice(0, -1), `${key}0`, `${key}\t`, `${key}\t0`, `${key}\n`, `${key}ü`, key.toUpperCase()]);
	for (const key of ["", "!", "!measured", "a", "zzz", "\t", "\n", "f", "\u00ff", "🌊", ...near])
		if (!known.has(key)) expect(snapshot.flag(key), key).toBeUndefined();
	expect(snapshot.keys()).toEqual([...known].sort());
});

test("text of every script and lone surrogates come back as they were", () => {
	const values = { a: "größe\t\n\u2028", b: "🌊 日本語", c: "\ud800", d: "\udc00\ud800", e: "\u0000\uffff" };
	const flag = aFlag({ type: "string", variants: values, offVariant: "a", fallthrough: "a" });
	expect(open(anEnvironment({ flags: [flag] })).flag("checkout")).toMatchObject({ values: Object.values(values) });
});

test("a flag that control could not read is there, and cannot be read: the others can", () => {
	const snapshot = open(anEnvironment({ damaged: ["search", "a"] }));
	expect(snapshot.keys()).toEqual(["a", "checkout", "search"]);
	expect([snapshot.flag("a"), snapshot.flag("search")]).toEqual(["corrupt", "corrupt"]);
	expect(snapshot.flag("checkout")).toMatchObject({ enabled: true });
});

test.each<[string, Parameters<typeof aFlag>[0]]>([
	["a variant that it does not have", { offVariant: "blue" }],
	["a split where its rollout needs one baseline", { fallthrough: [{ variant: "true", weight: BUCKETS }] }],
])("a flag with %s is packed as one that cannot be read, and the others as they are", (_, change) => {
	const snapshot = open(anEnvironment({ flags: [aFlag(change), aFlag({ key: "search" })], rollouts: [aRollout()] }));
	expect(snapshot.flag("checkout")).toBe("corrupt");
	expect(snapshot.flag("search")).toMatchObject({ enabled: true });
});

test("a segment that does not fit together fails the flags that ask for it, and no other", () => {
	const friends = aSegment({ keys: ["anna"], when: { attribute: "country", op: "matches", values: ["("] } });
	const byFriends = aFlag({ key: "search", rules: [aRule({ when: { segment: "friends" } })] });
	const snapshot = open(anEnvironment({ flags: [aFlag(), byFriends], segments: [friends] }));
	expect(evaluate(snapshot, NO_OVERLAY, "search", { targetingKey: "anna" })).toMatchObject({ errorCode: "PARSE_ERROR" });
	expect(evaluate(snapshot, NO_OVERLAY, "checkout", {})).toMatchObject({ variant: "false" });
});

test("segments are no flags, whoever asks for them", () => {
	const snapshot = open(anEnvironment({ segments: [aSegment({ keys: ["anna"] }), aSegment({ key: "staff" })] }));
	expect(snapshot.keys()).toEqual(["checkout"]);
	for (const key of ["$friends", "$friends#", "friends", "$"]) expect(snapshot.flag(key)).toBeUndefined();
	expect(snapshot.isMember("friends", { targetingKey: "anna" }, undefined)).toBe(true);
	expect(snapshot.isMember("staff", { targetingKey: "anna" }, undefined)).toBe(false);
	expect(() => snapshot.isMember("gone", {}, undefined)).toThrow("segment gone cannot be read");
});

test("damaged listed keys fail the flags that ask for them", () => {
	const flags = [aFlag({ rules: [aRule({ when: { segment: "friends" } })] })];
	const bytes = encode(bodyOf(anEnvironment({ flags, segments: [aSegment({ keys: ["anna", "bob"] })] })));
	const line = decode(bytes).indexOf("$friends#");
	for (const at of [line + "$friends#".length + 1, line + "$friends#".length + 12]) {
		const damaged = bytes.slice();
		damaged[at] = (damaged[at] ?? 0) ^ 1;
		const snapshot = openSnapshot(damaged, decode);
		expect(evaluate(snapshot, NO_OVERLAY, "checkout", { targetingKey: "anna" })).toMatchObject({ errorCode: "PARSE_ERROR" });
	}
});

test("what is measured rides along and is no flag", () => {
	const isSlow = { op: "gt", value: 2_500 } as const;
	const signals: readonly Signal[] = [
		{ key: "latency_ms>2500", metric: "latency_ms", slot: 0, harm: { candidate: isSlow, control: isSlow } },
		{ key: "latency_ms p95 vs control +20%", metric: "latency_ms", slot: 1, harm: null },
	];
	const before = { stage: 1, served: 5_000, sinceMs: 0 };
	const rollout = aRollout({ flags: { search: "true", checkout: "true" }, before, stage: 2, signals, scored: ["latency_ms"] });
	const metrics: readonly MetricShape[] = [
		{ key: "orders", kind: "count" },
		{ key: "basket", kind: "mean" },
	];
	const flags = [aFlag({ measured: true }), aFlag({ key: "banner", measured: true }), aFlag({ key: "search" })];
	const snapshot = open(anEnvironment({ flags, rollouts: [rollout], metrics }));
	expect(snapshot.measured()).toEqual({
		rollouts: [
			{
				key: "checkout.1",
				flags: ["checkout", "search"],
				served: 5_000,
				stage: 2,
				sinceMs: 1_000,
				before,
				retreats: false,
				signals,
				scored: ["latency_ms"],
			},
		],
		flags: ["banner", "checkout"],
		metrics: metrics.toReversed(),
	});
	expect(snapshot.keys()).toEqual(["banner", "checkout", "search"]);
});

const nothing = { rollouts: [], flags: [], metrics: [] };

test("where nothing is measured no line says so", () => {
	expect(open(anEnvironment()).measured()).toEqual(nothing);
	expect(bodyOf(anEnvironment())).not.toContain("!measured");
});

test.each<[string, Partial<EnvironmentState>]>([
	["a rollout", { rollouts: [aRollout()] }],
	["a measured flag", { flags: [aFlag({ measured: true })] }],
	["a metric", { metrics: [{ key: "orders", kind: "count" }] }],
])("%s alone is measured", (_, change) => {
	expect(open({ ...anEnvironment(), ...change }).measured()).not.toEqual(nothing);
});

test("edges are told of a metric what they need to read an event, and no more", () => {
	const whole = { key: "orders", kind: "count", unit: "", better: "higher", harm: null, description: "what a user ordered" } as const;
	expect(open(anEnvironment({ metrics: [whole] })).measured().metrics).toEqual([{ key: "orders", kind: "count" }]);
});

test.each<[string, string]>([
	["another schema", '{"schema":2,"version":1}\n'],
	["no JSON", "\n"],
	["null", "null\n"],
	["nothing", ""],
])("a snapshot whose first line is %s is not opened", (_, body) => {
	expect(() => openSnapshot(encode(body), decode)).toThrow();
});

test("a line whose hash is right and whose JSON is not fails alone", () => {
	const bytes = encode(bodyOf(anEnvironment({ flags: flagsOf(2) })));
	const snapshot = openSnapshot(bytes, (line) => (decode(line).includes("value of f0") ? "{" : decode(line)));
	expect(evaluate(snapshot, NO_OVERLAY, "f0", {})).toMatchObject({ errorCode: "PARSE_ERROR" });
	expect(evaluate(snapshot, NO_OVERLAY, "f1", {})).toMatchObject({ value: "value of f1" });
});

const five = flagsOf(5);
const body = encode(bodyOf(anEnvironment({ flags: five, rollouts: [aRollout({ flags: { f0: "only" } })] })));
const firstLineEnd = body.indexOf(NEWLINE) + 1;

/** Where each flag's hash begins, its JSON, and its line ends. */
const contents = five.map(({ key }) => {
	const line = decode(body).indexOf(`\n${key}\t`) + 1;
	const hash = line + key.length + 1;
	return { key, hash, json: hash + 9, to: body.indexOf(NEWLINE, line) };
});

test("a damaged byte in a line is a PARSE_ERROR of that flag alone", () => {
	for (const { key, hash, json, to } of contents)
		for (let at = hash; at < to; at++) {
			// The separator between them says nothing.
			if (at === json - 1) continue;
			const damaged = body.slice();
			damaged[at] = (damaged[at] ?? 0) ^ 1;
			// A byte that became the end of a line is the next test's.
			if (damaged[at] === NEWLINE || damaged[at] === TAB) continue;
			const snapshot = openSnapshot(damaged, decode);
			for (const flag of five) {
				const resolution = evaluate(snapshot, NO_OVERLAY, flag.key, {});
				if (flag.key === key) expect(resolution, `${key} at ${at}`).toMatchObject({ errorCode: "PARSE_ERROR" });
				else expect(resolution).toMatchObject({ value: `value of ${flag.key}` });
			}
		}
});

test("whatever a damaged byte makes of a body, no flag is served another one's values or wrong ones", () => {
	const keys = [...five.map(({ key }) => key), "f5", "f6", "f8", "g0", "f"];
	const check = (at: number, byte: number): void => {
		const damaged = body.slice();
		damaged[at] = byte;
		const snapshot = openSnapshot(damaged, decode);
		for (const key of keys) {
			const resolution = evaluate(snapshot, NO_OVERLAY, key, { targetingKey: "anna" });
			if (resolution.reason === "ERROR") continue;
			expect(resolution.value, `byte ${at} is ${byte}`).toBe(`value of ${key}`);
		}
	};
	for (let at = firstLineEnd; at < body.length; at++) {
		for (let bit = 0; bit < 8; bit++) check(at, (body[at] ?? 0) ^ (1 << bit));
		check(at, NEWLINE);
		check(at, TAB);
	}
});

test("a torn body serves the lines that are whole", () => {
	for (let length = firstLineEnd; length < body.length; length++) {
		const snapshot = openSnapshot(body.slice(0, length), decode);
		for (const { key, to } of contents) {
			const resolution = evaluate(snapshot, NO_OVERLAY, key, { targetingKey: "anna" });
			if (length >= to) expect(resolution).toMatchObject({ value: `value of ${key}` });
			else expect(resolution.reason).toBe("ERROR");
		}
	}
});

test("a line of another version is foreign", () => {
	const other = bodyOf(anEnvironment({ flags: five, version: 8 }));
	const mixed = pack(anEnvironment({ flags: five }), tableOf).firstLine + other.slice(other.indexOf("\n"));
	expect(evaluate(openSnapshot(encode(mixed), decode), NO_OVERLAY, "f0", {})).toMatchObject({ errorCode: "PARSE_ERROR" });
});

test("a damaged line of what is measured measures nothing", () => {
	const damaged = body.slice();
	const at = decode(body).indexOf('"stage"');
	damaged[at + 1] = 65;
	expect(openSnapshot(damaged, decode).measured()).toEqual(nothing);
});

test("a line is decoded once, however often its flag is read", () => {
	let decoded = 0;
	const snapshot = openSnapshot(body, (line) => {
		decoded++;
		return decode(line);
	});
	for (let i = 0; i < 3; i++) expect(snapshot.flag("f1")).toBeDefined();
	expect(decoded).toBe(2);
});
