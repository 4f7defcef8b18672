import * as fc from "fast-check";
import { BUCKETS } from "../../../core/flags/bucket";
import { type Comparison, type Condition, OPERATORS, type Operator } from "../../../core/flags/condition";
import type { Context } from "../../../core/flags/match";
import type { Flag, FlagValue, Serve } from "../../../core/flags/model";
import type { LiveRollout } from "../../../core/flags/snapshot";
import type { MetricShape } from "../../../core/metric";
import { type TestEnvironment, type TestSegment, aRollout, aSegment, anEnvironment } from "./fixtures";

/** Any UTF-16 text, lone surrogates included. */
export const anyText = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }).map((units) => String.fromCharCode(...units));

/** Few of each, so that what is asked for and what is there meet often. */
const ATTRIBUTES = ["country", "version", "ip", "at", "age", "org", "constructor", "__proto__", "targetingKey"];
const USERS = ["anna", "bob", "ü", "constructor", "__proto__", "42"];
const VERSIONS = ["1.2.3", "v1.2.3", "1.2.3-beta.1", "1.10.0+build", "2.0.0-0", "1.2", "01.2.3"];
const TIMES = ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "2024-02-29t23:59:60.5z", "2026-02-29T00:00:00Z", "2026-01-31"];
const ADDRESSES = ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "192.168.0.256", "::", "010.1.2.3"];
const PATTERNS = ["^C", "a.*b", "[0-9]+$", "(?i)ch", "^$", "ü|🌊", "\\.2\\."];
const NUMBERS = [0, 1, -1, 42, 1.5, 1e300, Date.parse("2026-01-31T12:00:00Z")];
const TEXTS = ["CH", "ch", "DE", "", "a", "1", "true"];

const aText = fc.constantFrom(...TEXTS, ...USERS, ...VERSIONS, ...TIMES, ...ADDRESSES);
const anAttributeValue: fc.Arbitrary<string | number | boolean> = fc.oneof(
	{ weight: 6, arbitrary: aText },
	{ weight: 3, arbitrary: fc.constantFrom(...NUMBERS) },
	{ weight: 1, arbitrary: fc.boolean() },
	{ weight: 1, arbitrary: anyText },
);

/** Built as JSON.parse builds it: `__proto__` is an own property. */
export const aContext: fc.Arbitrary<Context> = fc
	.tuple(
		fc.uniqueArray(
			fc.tuple(
				fc.constantFrom(...ATTRIBUTES),
				fc.oneof({ weight: 8, arbitrary: anAttributeValue }, { weight: 1, arbitrary: fc.constantFrom(null, [], {}, ["CH"], { a: 1 }) }),
			),
			{ selector: ([name]) => name },
		),
		fc.option(fc.constantFrom(...USERS), { freq: 4 }),
	)
	.map(([entries, user]) => Object.fromEntries(user === null ? entries : [...entries, ["targetingKey", user]]));

const several = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 3 });

const OPERANDS: Readonly<Record<Operator, fc.Arbitrary<Comparison["values"]>>> = {
	equals: fc.tuple(anAttributeValue),
	in: several(anAttributeValue),
	not_in: several(anAttributeValue),
	contains: several(fc.constantFrom("C", "a", "2", "::", "ü")),
	starts_with: several(fc.constantFrom("C", "a", "2", "v1")),
	ends_with: several(fc.constantFrom("H", "a", "2", "Z")),
	matches: several(fc.constantFrom(...PATTERNS)),
	lt: fc.tuple(fc.constantFrom(...NUMBERS)),
	lte: fc.tuple(fc.constantFrom(...NUMBERS)),
	gt: fc.tuple(fc.constantFrom(...NUMBERS)),
	gte: fc.tuple(fc.constantFrom(...NUMBERS)),
	between: fc.tuple(fc.constantFrom(...NUMBERS), fc.constantFrom(...NUMBERS)),
	semver_equals: fc.tuple(fc.constantFrom(...VERSIONS.slice(0, 5))),
	semver_lt: fc.tuple(fc.constantFrom(...VERSIONS.slice(0, 5))),
	semver_lte: fc.tuple(fc.constantFrom(...VERSIONS.slice(0, 5))),
	semver_gt: fc.tuple(fc.constantFrom(...VERSIONS.slice(0, 5))),
	semver_gte: fc.tuple(fc.constantFrom(...VERSIONS.slice(0, 5))),
	before: fc.tuple(fc.constantFrom(...TIMES.slice(0, 3))),
	after: fc.tuple(fc.constantFrom(...TIMES.slice(0, 3))),
	exists: fc.constant([]),
	ip_in: several(fc.constantFrom("10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "::/0", "0.0.0.0/0")),
};

const aComparison: fc.Arbitrary<Comparison> = fc
	.tuple(fc.constantFrom(...ATTRIBUTES), fc.constantFrom(...OPERATORS))
	.chain(([attribute, op]) => OPERANDS[op].map((values) => ({ attribute, op, values })));

/** Of up to five levels, over the segments named. */
function aCondition(segments: readonly string[]): fc.Arbitrary<Condition> {
	const { tree } = fc.letrec<{ tree: Condition }>((tie) => ({
		tree: fc.oneof(
			{ maxDepth: 4, withCrossShrink: true },
			{ weight: 6, arbitrary: aComparison },
			...(segments.length > 0 ? [{ weight: 3, arbitrary: fc.constantFrom(...segments).map((segment) => ({ segment })) }] : []),
			{ weight: 1, arbitrary: several(tie("tree")).map((all) => ({ all })) },
			{ weight: 1, arbitrary: several(tie("tree")).map((any) => ({ any })) },
			{ weight: 1, arbitrary: tie("tree").map((not) => ({ not })) },
		),
	}));
	return tree;
}

const SEGMENTS = ["friends", "staff", "constructor", "beta"];

/** Each names those before it at most, so that there are no cycles. */
const someSegments: fc.Arbitrary<readonly TestSegment[]> = fc.tuple(
	...SEGMENTS.map((key, i) =>
		fc
			.record({
				when: fc.option(aCondition(SEGMENTS.slice(0, i)), { freq: 4 }),
				keys: fc.subarray(USERS),
			})
			.map(({ when, keys }) => aSegment({ key, when, keys })),
	),
);

const KEYS = ["checkout", "search", "constructor", "tostring", "0"];
const aKey = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...KEYS) }, fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,12}$/));
const aVariantName = fc.oneof(
	fc.constantFrom("constructor", "toString", "1", "true"),
	fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,8}$/),
);
const aValueOf: Record<Flag["type"], fc.Arbitrary<FlagValue>> = {
	boolean: fc.boolean(),
	string: anyText,
	// JSON has no −0.
	number: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
	object: fc.constantFrom<FlagValue[]>({}, [], { a: 1 }, { deep: { list: [1, "ü", null, false] } }, [[{}]]),
};

function aServe(names: readonly string[]): fc.Arbitrary<Serve> {
	const name = fc.constantFrom(...names);
	const split = fc.array(fc.tuple(name, fc.integer({ min: 0, max: BUCKETS })), { minLength: 1, maxLength: 4 }).map((parts) => {
		const bounds = [...parts.map(([, bound]) => bound).sort((a, b) => a - b)];
		bounds[bounds.length - 1] = BUCKETS;
		return parts.map(([variant], i) => ({ variant, weight: (bounds[i] ?? 0) - (bounds[i - 1] ?? 0) }));
	});
	return fc.oneof({ weight: 2, arbitrary: name }, { weight: 1, arbitrary: split });
}

/** One segment is nowhere: a flag that reaches it cannot be evaluated. */
const aRuleCondition = fc.oneof(
	{ weight: 40, arbitrary: aCondition(SEGMENTS) },
	{ weight: 1, arbitrary: fc.constant({ segment: "gone" }) },
);

/** A flag that checkFlag accepts. */
export const someFlag: fc.Arbitrary<Flag> = fc
	.record({
		key: aKey,
		type: fc.constantFrom<Flag["type"][]>("boolean", "string", "number", "object"),
		names: fc.uniqueArray(aVariantName, { minLength: 1, maxLength: 4 }),
	})
	.chain(({ key, type, names }) =>
		fc.record({
			key: fc.constant(key),
			type: fc.constant(type),
			variants: fc
				.array(aValueOf[type], { minLength: names.length, maxLength: names.length })
				.map((values) => Object.fromEntries(names.map((name, i) => [name, values[i] ?? false]))),
			enabled: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.boolean()),
			offVariant: fc.constantFrom(...names),
			prerequisites: fc.array(
				fc.record({
					flag: fc.constantFrom(...KEYS.filter((other) => other !== key)),
					variants: fc.uniqueArray(fc.constantFrom(...names, "constructor", "toString", "1", "true"), { minLength: 1, maxLength: 4 }),
				}),
				{ maxLength: 1 },
			),
			targets: fc
				.uniqueArray(fc.tuple(fc.constantFrom(...USERS), fc.constantFrom(...names)), { selector: ([user]) => user, maxLength: 2 })
				.map((targets) => targets.map(([user, variant]) => ({ variant, keys: [user] }))),
			rules: fc.uniqueArray(
				fc.record({
					id: fc.string({ minLength: 1, maxLength: 8 }),
					description: fc.constant(""),
					when: aRuleCondition,
					serve: aServe(names),
				}),
				{ selector: ({ id }) => id, maxLength: 3 },
			),
			fallthrough: aServe(names),
			salt: fc.string({ minLength: 1, maxLength: 20 }),
			bucketBy: fc.oneof({ weight: 3, arbitrary: fc.constant("targetingKey") }, fc.constantFrom(...ATTRIBUTES)),
			public: fc.boolean(),
			measured: fc.boolean(),
			description: fc.constant(""),
			tags: fc.constantFrom([], ["payments"]),
			owner: fc.constantFrom("", "anna"),
			temporary: fc.boolean(),
			expiresAt: fc.constantFrom(null, "2026-01-31T12:00:00Z"),
		}),
	);

export const someFlags = fc.uniqueArray(someFlag, { selector: ({ key }) => key, maxLength: 6 });

const someExcluded: fc.Arbitrary<LiveRollout["excluded"]> = fc.oneof(
	{ weight: 4, arbitrary: fc.constant({ keys: [], segments: [] }) },
	{ weight: 4, arbitrary: fc.record({ keys: fc.subarray(USERS), segments: fc.subarray(SEGMENTS, { maxLength: 2 }) }) },
	{ weight: 1, arbitrary: fc.subarray([...SEGMENTS, "gone"]).map((segments) => ({ keys: [], segments })) },
);

const METRICS: readonly MetricShape[] = [
	{ key: "orders", kind: "count" },
	{ key: "basket", kind: "mean" },
];

/** Flags, segments, metrics, and two rollouts over those of the flags that have a baseline. */
export const someEnvironment: fc.Arbitrary<TestEnvironment> = fc
	.record({
		flags: someFlags,
		segments: someSegments,
		served: fc.array(fc.integer({ min: 0, max: BUCKETS }), { minLength: 2, maxLength: 2 }),
		excluded: fc.array(someExcluded, { minLength: 2, maxLength: 2 }),
		isRolling: fc.boolean(),
		version: fc.integer({ min: 1, max: 2 ** 31 }),
		pick: fc.nat({ max: 3 }),
		metrics: fc.subarray([...METRICS]),
	})
	.map(({ flags, segments, served, excluded, isRolling, version, pick, metrics }) => {
		const candidates = flags
			.filter(({ fallthrough }) => typeof fallthrough === "string")
			.map(({ key, variants }): [string, string] => [key, Object.keys(variants)[pick % Object.keys(variants).length] ?? ""]);
		const rollouts = ["checkout.1", "search.2"].map((key, i) =>
			aRollout({
				key,
				flags: Object.fromEntries(candidates.filter((_, nth) => nth % 2 === i)),
				served: served[i] ?? 0,
				excluded: excluded[i] ?? { keys: [], segments: [] },
			}),
		);
		const live = isRolling ? rollouts.filter((rollout) => Object.keys(rollout.flags).length > 0) : [];
		return anEnvironment({ version, flags, segments, rollouts: live, metrics });
	});
