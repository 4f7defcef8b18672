import { expect, test } from "vitest";
import { type Condition, OPERATORS, type Operator, conditionTree, segmentsIn } from "../../../core/flags/condition";
import { fieldErrors } from "../../../core/flags/fieldErrors";
import type { FieldError } from "../../../core/flags/model";
import { listedKeys, segment, segmentInput, segmentPatch } from "../../../core/flags/segment";

/** As whoever wrote the condition is told. */
function faultsOf(given: unknown): readonly FieldError[] {
	return fieldErrors(conditionTree.safeParse(given).error?.issues ?? [], given);
}

const compare = (op: string, values: unknown, more: object = {}): object => ({ attribute: "country", op, values, ...more });
const texts = (n: number): string[] => Array.from({ length: n }, (_, i) => `${i}`);
const nots = (n: number): object => Array.from({ length: n }).reduce<object>((not) => ({ not }), compare("exists", []));

type Refused = [op: string, values: unknown, pointer: string, message: string];
const numberOperators = ["lt", "lte", "gt", "gte"];
const semverOperators = ["semver_equals", "semver_lt", "semver_lte", "semver_gt", "semver_gte"];
const timeOperators = ["before", "after"];

const VERSION = 'takes one semantic version: write "1.2.3"';
const TIME = 'takes one RFC 3339 time: write "2026-01-31T12:00:00Z"';
const NETWORK = 'takes addresses and networks: write "10.0.0.1", "10.0.0.0/8" or "2001:db8::/32"';
const PATTERN = "takes patterns of 1 to 200 characters, in quotes";
const NO_LIST = 'is no list: write ["a"] or [5], even for one value';
const NO_SCALAR = "is no text, number or boolean";

test.each<[op: string, values: unknown, pointer: string, message: string]>([
	// How many values.
	["equals", [], "/values", "equals takes one value: use in for several"],
	["equals", ["CH", "AT"], "/values", "equals takes one value: use in for several"],
	...numberOperators.flatMap((op) => [[], [1, 2]].map((values): Refused => [op, values, "/values", `${op} takes one number`])),
	...semverOperators.flatMap((op) => [[], ["1.2.3", "1.2.4"]].map((values): Refused => [op, values, "/values", `${op} ${VERSION}`])),
	...timeOperators.flatMap((op) =>
		[[], ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"]].map((values): Refused => [op, values, "/values", `${op} ${TIME}`]),
	),
	["in", [], "/values", "in takes at least one value"],
	["not_in", [], "/values", "not_in takes at least one value"],
	["in", texts(1_001), "/values", "has more than 1,000 values"],
	...["contains", "starts_with", "ends_with"].flatMap((op) =>
		[[], texts(101)].map((values): Refused => [op, values, "/values", `${op} takes 1 to 100 texts`]),
	),
	["ip_in", [], "/values", "ip_in takes 1 to 100 addresses and networks"],
	["ip_in", Array.from({ length: 101 }, () => "10.0.0.1"), "/values", "ip_in takes 1 to 100 addresses and networks"],
	["matches", [], "/values", "matches takes 1 to 10 patterns"],
	["matches", texts(11), "/values", "matches takes 1 to 10 patterns"],
	["between", [1], "/values", "between takes two numbers, lowest first"],
	["between", [1, 2, 3], "/values", "between takes two numbers, lowest first"],
	["exists", [true], "/values", "exists takes no values"],
	// No list at all.
	["in", "CH", "/values", NO_LIST],
	["lt", 5, "/values", NO_LIST],
	["equals", { 0: "CH" }, "/values", NO_LIST],
	// Of which type.
	...["contains", "starts_with", "ends_with"].map((op): Refused => [op, [1], "/values/0", `${op} takes texts, in quotes`]),
	["matches", [1], "/values/0", `matches ${PATTERN}`],
	["ip_in", [1], "/values/0", `ip_in ${NETWORK}`],
	...semverOperators.map((op): Refused => [op, [true], "/values/0", `${op} ${VERSION}`]),
	...timeOperators.map((op): Refused => [op, [1], "/values/0", `${op} ${TIME}`]),
	...numberOperators.map((op): Refused => [op, ["5"], "/values/0", `${op} takes a number, without quotes`]),
	["lt", [true], "/values/0", "lt takes a number"],
	["between", [1, "2"], "/values/1", "between takes a number, without quotes"],
	...OPERATORS.flatMap((op) => [null, {}, ["a"], Number.NaN, Infinity].map((value): Refused => [op, [value], "/values/0", NO_SCALAR])),
	["in", ["a", null], "/values/1", NO_SCALAR],
	["in", ["x".repeat(1_001)], "/values/0", "has more than 1,000 characters"],
	// Of which form.
	...["contains", "starts_with", "ends_with"].map((op): Refused => [op, [""], "/values/0", `${op} takes no empty text`]),
	["matches", [""], "/values/0", `matches ${PATTERN}`],
	["matches", ["x".repeat(201)], "/values/0", `matches ${PATTERN}`],
	...semverOperators.map((op): Refused => [op, ["1.2"], "/values/0", `${op} ${VERSION}`]),
	...timeOperators.map((op): Refused => [op, ["2026-02-29T00:00:00Z"], "/values/0", `${op} ${TIME}`]),
	["after", ["2026-01-31"], "/values/0", `after ${TIME}`],
	["ip_in", ["10.0.0.0/8", "10.0.0.0/33"], "/values/1", `ip_in ${NETWORK}`],
	["ip_in", ["localhost"], "/values/0", `ip_in ${NETWORK}`],
])("refused: %s %j at %s: %s", (op, values, pointer, message) => {
	expect(faultsOf(compare(op, values))).toEqual([{ pointer, message }]);
});

test.each(["like", "EQUALS", "constructor"])("the operator %s is unknown, and the known ones are told", (op) => {
	expect(faultsOf(compare(op, ["a"]))).toEqual([{ pointer: "/op", message: expect.stringContaining("takes equals, in, not_in") }]);
});

const KINDS = "a condition is all, any, not, segment, or attribute + op + values";

test.each<[string, unknown, string]>([
	["a misspelt kind", { al: [compare("exists", [])] }, ""],
	["no kind", {}, ""],
	["values alone", { values: ["CH"] }, ""],
	["null", null, ""],
	["a text", "country = CH", ""],
	["a list", [compare("exists", [])], ""],
	["a misspelt kind far inside", { all: [compare("exists", []), { any: [{ not: { and: [] } }] }] }, "/all/1/any/0/not"],
	["not of several", { not: [compare("exists", [])] }, "/not"],
])("refused, with what a condition is: %s", (_, given, pointer) => expect(faultsOf(given)).toEqual([{ pointer, message: KINDS }]));

test.each<[string, unknown, string]>([
	["no operator", { attribute: "country", values: ["CH"] }, "/op"],
	["no attribute", { op: "in", values: ["CH"] }, "/attribute"],
	["an empty attribute", { attribute: "", op: "in", values: ["CH"] }, "/attribute"],
	["an attribute of 201 characters", { attribute: "a".repeat(201), op: "in", values: ["CH"] }, "/attribute"],
	["an unknown field", compare("in", ["CH"], { ignoreCase: true }), "/ignoreCase"],
	["an unknown field beside not", { not: compare("in", ["CH"]), because: "x" }, "/because"],
	["two kinds at once", { all: [compare("in", ["CH"])], any: [compare("in", ["CH"])] }, "/any"],
	["an empty all", { all: [] }, "/all"],
	["an empty any", { any: [] }, "/any"],
	["an all of 51", { all: Array.from({ length: 51 }, () => compare("exists", [])) }, "/all"],
	["a segment's name of 64 characters", { segment: "s".repeat(64) }, "/segment"],
	["a segment that is no text", { segment: 1 }, "/segment"],
	["a fault far inside", { all: [compare("exists", []), { any: [{ not: compare("lt", ["1"]) }] }] }, "/all/1/any/0/not/values/0"],
	["an unknown operator far inside", { all: [compare("exists", []), { not: compare("like", ["1"]) }] }, "/all/1/not/op"],
])("refused: %s", (_, given, pointer) => expect(faultsOf(given).map((fault) => fault.pointer)).toContain(pointer));

test.each<[string, unknown, string]>([
	["9 levels", nots(8), "is 9 levels deep > limit 8"],
	["100 levels", nots(99), "is 100 levels deep > limit 8"],
	[
		"201 conditions",
		{
			all: [
				...Array.from({ length: 4 }, () => ({ any: Array.from({ length: 48 }, () => compare("exists", [])) })),
				...Array.from({ length: 4 }, () => compare("exists", [])),
			],
		},
		"has 201 conditions > limit 200",
	],
])("refused: %s", (_, given, message) => {
	expect(faultsOf(given)).toEqual(expect.arrayContaining([{ pointer: "", message }]));
});

test.each<[string, unknown]>([
	["8 levels", nots(7)],
	[
		"200 conditions",
		{
			all: [
				...Array.from({ length: 4 }, () => ({ any: Array.from({ length: 48 }, () => compare("exists", [])) })),
				...Array.from({ length: 3 }, () => compare("exists", [])),
			],
		},
	],
	["a segment", { segment: "friends" }],
	["1,000 values", compare("in", texts(1_000))],
	["values of every type", compare("in", ["CH", 1, true, ""])],
	["a network of each kind", compare("ip_in", ["10.0.0.0/8", "2001:db8::/32", "::1", "10.0.0.1"])],
])("accepted: %s", (_, given) => expect(conditionTree.parse(given)).toEqual(given));

test("exists needs no values", () => {
	expect(conditionTree.parse({ attribute: "country", op: "exists" })).toEqual(compare("exists", []));
});

const EXAMPLES: Readonly<Record<Operator, readonly (string | number | boolean)[]>> = {
	equals: ["CH"],
	in: ["CH", 1],
	not_in: [true],
	contains: ["a"],
	starts_with: ["a", "b"],
	ends_with: ["a"],
	matches: ["^a"],
	lt: [1],
	lte: [1.5],
	gt: [-1],
	gte: [0],
	between: [1, 2],
	semver_equals: ["1.2.3"],
	semver_lt: ["v1.2.3-beta"],
	semver_lte: ["1.2.3"],
	semver_gt: ["1.2.3+build"],
	semver_gte: ["1.2.3"],
	before: ["2026-01-31T12:00:00Z"],
	after: ["2026-01-31T12:00:00.5+01:00"],
	exists: [],
	ip_in: ["10.0.0.0/8"],
};

test.each(OPERATORS.map((op) => [op]))("accepted: %s", (op) => {
	expect(conditionTree.parse(compare(op, EXAMPLES[op]))).toEqual(compare(op, EXAMPLES[op]));
});

test("the segments of a condition are found wherever they are, in order", () => {
	const tree: Condition = {
		all: [{ segment: "a" }, { any: [{ not: { segment: "b" } }, { attribute: "c", op: "exists", values: [] }] }, { segment: "a" }],
	};
	expect(segmentsIn(tree)).toEqual(["a", "b", "a"]);
});

test("a segment needs nothing but its key, and has no members then", () => {
	expect(segmentInput.parse({ key: "friends" })).toEqual({ key: "friends", description: "", when: null });
});

test.each<[string, object]>([
	["a key in capitals", { key: "Friends" }],
	["a key that names its keys' line", { key: "friends#" }],
	["an unknown field", { key: "friends", keys: ["anna"] }],
	["a condition that is too deep", { key: "friends", when: nots(8) }],
	["a description of 2,001 characters", { key: "friends", description: "x".repeat(2_001) }],
])("a segment is refused with %s", (_, given) => expect(segmentInput.safeParse(given).success).toBe(false));

test.each<[string, typeof segmentInput | typeof segmentPatch, object]>([
	["created", segmentInput, { key: "friends", keys: ["anna"] }],
	["changed", segmentPatch, { keys: ["anna"] }],
])("listed keys with a segment that is %s are refused, with where they go", (_, schema, given) => {
	expect(fieldErrors(schema.safeParse(given).error?.issues ?? [], given)).toEqual([
		{ pointer: "/keys", message: "listed keys are replaced by PUT /api/v1/segments/{key}/keys, as a whole" },
	]);
});

test("a stored segment with a field of a newer version is read without it", () => {
	expect(segment.parse({ key: "friends", description: "", when: null, colour: "red" })).toEqual({
		key: "friends",
		description: "",
		when: null,
	});
	expect(segmentPatch.safeParse({ key: "other" }).success).toBe(false);
});

test.each<[string, unknown, boolean]>([
	["100,000 keys", texts(100_000), true],
	["100,001 keys", texts(100_001), false],
	["an empty key", [""], false],
	["a key of 1,001 characters", ["x".repeat(1_001)], false],
	["a number", [1], false],
])("listed: %s", (_, keys, isFine) => expect(listedKeys.safeParse(keys).success).toBe(isFine));
