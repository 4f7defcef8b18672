import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { packListed } from "../../../core/flags/listed";
import type { Condition } from "../../../core/flags/condition";
import { aFlag, aRollout, aState, CLIENT_KEY, publish, SDK_KEY } from "./fixture";
import { anEdge } from "./harness";

/** Whatever a client sends, the answer is JSON, and the fault is never ours. */

const SEED = 20_261_101;
const BODIES_A_SURFACE = 4_000;
const FLAGS = "/ofrep/v1/evaluate/flags";

/** One rule for each operator, so that hostile attributes meet all of them. */
const conditions: Record<string, Condition> = {
	equals: { attribute: "a", op: "equals", values: ["x"] },
	in: { attribute: "a", op: "in", values: [1, true, "x", "__proto__"] },
	not_in: { attribute: "b", op: "not_in", values: [1, true, "x"] },
	contains: { attribute: "a", op: "contains", values: ["\u{1f30a}", "x"] },
	starts_with: { attribute: "b", op: "starts_with", values: ["x"] },
	ends_with: { attribute: "a", op: "ends_with", values: ["x"] },
	matches: { attribute: "a", op: "matches", values: ["^(a+)+b$", "[^\\x00]{3}"] },
	between: { attribute: "a", op: "between", values: [-1, 1] },
	gte: { attribute: "b", op: "gte", values: [1e308] },
	semver: { attribute: "a", op: "semver_gte", values: ["1.2.3-rc.1"] },
	before: { attribute: "b", op: "before", values: ["2026-01-31T12:00:00Z"] },
	exists: { attribute: "__proto__", op: "exists", values: [] },
	ip_in: { attribute: "a", op: "ip_in", values: ["10.0.0.0/8", "2001:db8::/32"] },
	segment: { segment: "crew" },
	tree: { all: [{ not: { attribute: "a", op: "exists", values: [] } }, { any: [{ attribute: "b", op: "lt", values: [0] }] }] },
};
const ruled = Object.entries(conditions).map(([key, when]) =>
	aFlag({ key, public: true, rules: [{ id: key, description: "", when, serve: "true" }] }),
);
const split = [
	{ variant: "true", weight: 50_000 },
	{ variant: "false", weight: 50_000 },
];
const state = aState({
	flags: [
		...ruled,
		aFlag({ key: "bucketed", bucketBy: "__proto__", fallthrough: split }),
		aFlag({ key: "natal", targets: [{ variant: "true", keys: ["__proto__", "constructor"] }] }),
		aFlag({ key: "after", prerequisites: [{ flag: "tree", variants: ["true"] }] }),
	],
	segments: [
		{
			segment: { key: "crew", description: "", when: { attribute: "b", op: "equals", values: [1] } },
			listed: packListed(["ada", "__proto__"]),
		},
	],
	damaged: ["damaged"],
	rollouts: [aRollout({ excluded: { keys: ["__proto__"], segments: ["crew"] } })],
});
const published = await publish([state]);

const NAMES = ["a", "b", "targetingKey", "__proto__", "constructor", "toString", "hasOwnProperty", "length", "", "\ud800", "\u0000"];
const EVENT_FIELDS = ["id", "targetingKey", "context", "flag", "metric", "value", "at", "extra"];
const RAW = [
	"NaN",
	"Infinity",
	"-Infinity",
	"undefined",
	"01",
	"1.",
	"'x'",
	"{a:1}",
	'{"a":NaN}',
	'{"context":{"a":Infinity}}',
	"\ufeff{}",
	"\u0000",
];

const text = fc.oneof(
	fc.constantFrom(
		...NAMES,
		"x",
		"aaab",
		"10.1.2.3",
		"2001:db8::1",
		"::ffff:10.0.0.1",
		"1.2.3-rc.2",
		"2026-02-30T25:61:61Z",
		"NaN",
		"1e400",
	),
	fc.string({ unit: "binary", maxLength: 40 }),
	fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "\u{1f30a}", "\u0000", "\u202e", "é"), maxLength: 10 }),
);
const long = fc.integer({ min: 1, max: 30_000 }).map((length) => "a".repeat(length));
const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(-0, 1e308, -1e308, 5e-324, 2 ** 53, 2 ** 63));
/** What JSON cannot say is put in after it was printed. */
const HUGE = "@huge@";
const scalar = fc.oneof(
	{ weight: 20, arbitrary: text },
	{ weight: 10, arbitrary: number },
	{ weight: 5, arbitrary: fc.constantFrom(true, false, null, HUGE) },
	{ weight: 1, arbitrary: long },
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
	value: fc.oneof(
		{ depthSize: "small" },
		{ weight: 4, arbitrary: scalar },
		{ weight: 1, arbitrary: fc.array(tie("value"), { maxLength: 6 }) },
		{ weight: 1, arbitrary: fc.dictionary(fc.constantFrom(...NAMES), tie("value"), { maxKeys: 6 }) },
	),
}));
const object = fc.dictionary(fc.oneof(fc.constantFrom(...NAMES), text), value, { maxKeys: 8 });
/** Deep nesting: of lists, of objects, closed or not. */
const nested = fc.tuple(fc.integer({ min: 1, max: 12_000 }), fc.boolean(), fc.boolean()).map(([depth, isObject, isClosed]) => {
	const [open, close] = isObject ? ['{"a":', "}"] : ["[", "]"];
	return open.repeat(depth) + (isClosed ? `1${close.repeat(depth)}` : "");
});
const print = (given: unknown): string =>
	(JSON.stringify(given) ?? "").replaceAll(`"${HUGE}"`, "1e999").replaceAll('"\\u0000"', '"__proto__"');
const wide = fc.integer({ min: 1, max: 20_000 }).map((length) => `[${Array(length).fill("1").join(",")}]`);

/** A surface's own shape with hostile parts, or no shape at all. */
const bodies = (shaped: fc.Arbitrary<string>): fc.Arbitrary<string> =>
	fc.oneof(
		{ weight: 20, arbitrary: shaped },
		{ weight: 3, arbitrary: value.map(print) },
		{ weight: 2, arbitrary: fc.constantFrom(...RAW) },
		{ weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
		{ weight: 1, arbitrary: fc.tuple(shaped, fc.integer({ min: 0, max: 200 })).map(([all, end]) => all.slice(0, end)) },
		{ weight: 1, arbitrary: nested },
		{ weight: 1, arbitrary: wide },
	);
const contexts = bodies(
	fc.oneof(
		{ weight: 12, arbitrary: object.map((context) => `{"context":${print(context)}}`) },
		{ weight: 3, arbitrary: fc.tuple(text, object).map(([targetingKey, rest]) => print({ context: { ...rest, targetingKey } })) },
		{ weight: 2, arbitrary: value.map((context) => print({ context })) },
		{ weight: 1, arbitrary: nested.map((context) => `{"context":{"a":${context},"targetingKey":"ada"}}`) },
		{ weight: 1, arbitrary: wide.map((list) => `{"context":{"a":${list},"__proto__":${list}}}`) },
		{ weight: 1, arbitrary: object.map((context) => `{"context":{"__proto__":${print(context)},"targetingKey":"ada"}}`) },
	),
);
const event = fc.oneof(
	{
		weight: 6,
		arbitrary: fc
			.tuple(fc.dictionary(fc.constantFrom(...EVENT_FIELDS), value, { maxKeys: 3 }), object)
			.map(([change, context]) => ({ targetingKey: "ada", flag: "natal", metric: "error", value: true, context, ...change })),
	},
	{ weight: 2, arbitrary: fc.dictionary(fc.constantFrom(...EVENT_FIELDS, ...NAMES), value, { maxKeys: 8 }) },
	{ weight: 1, arbitrary: value },
);
const batches = bodies(
	fc.oneof(
		{ weight: 10, arbitrary: fc.array(event, { maxLength: 5 }).map((events) => print({ events })) },
		{
			weight: 1,
			arbitrary: fc.tuple(event, fc.integer({ min: 1, max: 600 })).map(([one, times]) => print({ events: Array(times).fill(one) })),
		},
		{ weight: 1, arbitrary: value.map((events) => print({ events })) },
		{
			weight: 1,
			arbitrary: nested.map((events) => `{"events":[{"targetingKey":"ada","metric":"error","value":true,"context":{"a":${events}}}]}`),
		},
		{ weight: 1, arbitrary: wide.map((events) => `{"events":${events}}`) },
	),
);
const paths = fc.oneof(
	{ weight: 8, arbitrary: fc.constantFrom(...state.flags.map(({ key }) => key), "damaged") },
	{ weight: 2, arbitrary: text.map((key) => encodeURIComponent(key.toWellFormed())) },
	{
		weight: 1,
		arbitrary: fc.constantFrom("%", "%ff", "%00", "__proto__", "constructor", "!measured", "$crew", "%24crew%23", "..%2f..", "a/b/c"),
	},
);
const headers = fc
	.constantFrom(SDK_KEY, CLIENT_KEY)
	.chain((key) =>
		fc.constantFrom<Record<string, string>>(
			{ Authorization: `Bearer ${key}` },
			{ Authorization: `Bearer ${key}`, "Content-Type": "text/plain", "If-None-Match": 'W/"x", *, "' },
			{ "X-API-Key": key, "Content-Length": "-1" },
			{ "X-API-Key": key, "Content-Type": "application/json; charset=utf-16" },
		),
	);

interface Answer {
	readonly status: number;
	readonly body: unknown;
}

/** Drawn as they are needed: all at once they would not fit into an isolate's memory. */
function* samples<T>(of: fc.Arbitrary<T>): Generator<T> {
	const numRuns = 50;
	for (let drawn = 0; drawn < BODIES_A_SURFACE; drawn += numRuns) yield* fc.sample(of, { seed: SEED + drawn, numRuns });
}

/** The statuses that were seen, each with how often; fails on the first answer that is not as it must be. */
async function fuzz(
	requests: fc.Arbitrary<{ path: string; body: string; headers: Record<string, string> }>,
	mayBe: readonly number[],
	check: (answer: Answer) => void,
): Promise<Map<number, number>> {
	vi.spyOn(console, "warn").mockImplementation(() => {});
	const edge = await anEdge(published);
	const seen = new Map<number, number>();
	for (const given of samples(requests)) {
		// oxlint-disable-next-line no-await-in-loop -- one request after another, so that a failure names its body
		const response = await edge.post(given.path, given.body, given.headers);
		const { status } = response;
		// oxlint-disable-next-line no-await-in-loop -- see above
		const answered = await response.text();
		const what = `${given.path} ${JSON.stringify(given.headers)} ${given.body.slice(0, 2_000)} → ${status} ${answered.slice(0, 500)}`;
		expect(mayBe, what).toContain(status);
		expect(response.headers.get("Content-Type"), what).toMatch(/^application\/(problem\+)?json/);
		check({ status, body: JSON.parse(answered) as unknown });
		edge.recorded.length = 0;
		seen.set(status, (seen.get(status) ?? 0) + 1);
	}
	vi.restoreAllMocks();
	return seen;
}

const isOfrep = ({ status, body }: Answer): void => {
	if (status === 200) expect(body).toMatchObject({ key: expect.any(String), value: expect.any(Boolean), reason: expect.any(String) });
	else expect(body).toMatchObject({ errorCode: expect.any(String), errorDetails: expect.any(String) });
};

test("no body takes a single evaluation down", { timeout: 120_000 }, async () => {
	const path = paths.map((key) => `${FLAGS}/${key}`);
	const seen = await fuzz(fc.record({ path, body: contexts, headers }), [200, 400, 404, 413], isOfrep);
	expect(new Set(seen.keys())).toEqual(new Set([200, 400, 404, 413]));
	expect(seen.get(200)).toBeGreaterThan(BODIES_A_SURFACE / 4);
});

test("no body takes an evaluation of all flags down, and none damages a flag", { timeout: 120_000 }, async () => {
	const seen = await fuzz(fc.record({ path: fc.constant(FLAGS), body: contexts, headers }), [200, 400, 413], ({ status, body }) => {
		if (status !== 200) return isOfrep({ status, body });
		const { flags } = body as { flags: { key: string; errorCode?: string }[] };
		expect(flags.length).toBeGreaterThanOrEqual(ruled.length);
		expect(flags.filter(({ errorCode }) => errorCode !== undefined).map(({ key }) => key)).toEqual(
			flags.some(({ key }) => key === "damaged") ? ["damaged"] : [],
		);
	});
	expect(new Set(seen.keys())).toEqual(new Set([200, 400, 413]));
	expect(seen.get(200)).toBeGreaterThan(BODIES_A_SURFACE / 4);
});

test("no body takes the events down: each event is accepted, rejected with its reason, or repeated", { timeout: 120_000 }, async () => {
	const seen = await fuzz(fc.record({ path: fc.constant("/v1/events"), body: batches, headers }), [202, 400, 413], ({ status, body }) => {
		if (status !== 202) return expect(body).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
		const { accepted, rejected } = body as { accepted: number; rejected: { index: number; reason: string }[] };
		expect(accepted + rejected.length).toBeLessThanOrEqual(500);
		for (const each of rejected)
			expect([typeof each.index, typeof each.reason, each.reason.length < 300]).toEqual(["number", "string", true]);
	});
	expect(new Set(seen.keys())).toEqual(new Set([202, 400, 413]));
	expect(seen.get(202)).toBeGreaterThan(BODIES_A_SURFACE / 4);
});

test.each([FLAGS, `${FLAGS}/matches`, "/v1/events"])("1 MB is 413 at %s, wherever it is", async (path) => {
	const edge = await anEdge(published);
	const large = "a".repeat(1_000_000);
	for (const body of [
		large,
		JSON.stringify({ context: { a: large } }),
		JSON.stringify({ context: { targetingKey: large } }),
		JSON.stringify({ context: { [large]: 1 } }),
		JSON.stringify({ events: [{ targetingKey: large, metric: "error", value: true }] }),
		"[".repeat(1_000_000),
		`{"context":${'{"a":'.repeat(150_000)}1${"}".repeat(150_000)}}`,
		`{"events":[${"1,".repeat(400_000)}1]}`,
	]) {
		// oxlint-disable-next-line no-await-in-loop -- body after body
		expect((await edge.post(path, body)).status).toBe(413);
	}
});

test("a hostile context leaves no trace: the next one is evaluated as ever", async () => {
	const edge = await anEdge(published);
	await edge.post(`${FLAGS}/exists`, '{"context":{"__proto__":{"a":"x","polluted":true},"constructor":{"prototype":{"polluted":true}}}}');
	expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
	expect(await (await edge.post(`${FLAGS}/equals`, { context: {} })).json()).toMatchObject({ value: false, reason: "DEFAULT" });
	expect(await (await edge.post(`${FLAGS}/equals`, '{"context":{"__proto__":{"a":"x"}}}')).json()).toMatchObject({ value: false });
});
