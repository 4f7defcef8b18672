import { expect, test } from "vitest";
import { type Condition, OPERATORS, type Operator, conditionTree, segmentsIn } from "../../../core/flags/condition";
import { listedKeys, segment, segmentInput, segmentPatch } from "../../../core/flags/segment";

interface Fault {
	readonly pointer: string;
	readonly message: string;
}
interface Issue {
	readonly path: readonly PropertyKey[];
	readonly message: string;
	readonly keys?: readonly string[];
	readonly errors?: readonly (readonly Issue[])[];
}

/** Every fault, those of a union's branches too. */
function faultsOf(given: unknown): readonly Fault[] {
	const flat = (issue: Issue, at: readonly PropertyKey[]): Fault[] => {
		const path = [...at, ...issue.path];
		if (issue.errors) return issue.errors.flat().flatMap((inner) => flat(inner, path));
		const fields = issue.keys ?? [undefined];
		return fields.map((key) => ({
			pointer: [...path, ...(key === undefined ? [] : [key])].map((part) => `/${String(part)}`).join(""),
			message: issue.message,
		}));
	};
	const parsed = conditionTree.safeParse(given);
	return (parsed.error?.issues ?? []).flatMap((issue) => flat(issue as unknown as Issue, []));
}

const compare = (op: string, values: unknown, more: object = {}): object => ({ attribute: "country", op, values, ...more });
const texts = (n: number): string[] => Array.from({ length: n }, (_, i) => `${i}`);
const nots = (n: number): object => Array.from({ length: n }).reduce<object>((not) => ({ not }), compare("exists", []));

const noText = [1, true, null, {}, ["a"]];
const noNumber = ["1", true, null, {}, [1]];
const textOperators = ["contains", "starts_with", "ends_with", "matches"];
const numberOperators = ["lt", "lte", "gt", "gte"];
const semverOperators = ["semver_equals", "semver_lt", "semver_lte", "semver_gt", "semver_gte"];
const timeOperators = ["before", "after"];

test.each<[op: string, values: unknown, pointer: string, message: RegExp]>([
	// How many values.
	...["equals", ...numberOperators, ...semverOperators, ...timeOperators].flatMap((op): [string, unknown, string, RegExp][] => {
		const one = op.startsWith("semver") ? "1.2.3" : op === "before" || op === "after" ? "2026-01-31T12:00:00Z" : 1;
		return [
			[op, [], "/values", /exactly 1 item/],
			[op, [one, one], "/values", /exactly 1 item/],
		];
	}),
	...["in", "not_in", ...textOperators, "ip_in"].map((op): [string, unknown, string, RegExp] => [op, [], "/values", />=1 item/]),
	["in", texts(1_001), "/values", /<=1000 items/],
	["not_in", texts(1_001), "/values", /<=1000 items/],
	...["contains", "starts_with", "ends_with"].map((op): [string, unknown, string, RegExp] => [op, texts(101), "/values", /<=100 items/]),
	["ip_in", Array.from({ length: 101 }, () => "10.0.0.1"), "/values", /<=100 items/],
	["matches", texts(11), "/values", /<=10 items/],
	["between", [1], "/values", /exactly 2 items/],
	["between", [1, 2, 3], "/values", /exactly 2 items/],
	["exists", [true], "/values", /exactly 0 items/],
	// Of which type.
	...[...textOperators, ...semverOperators, ...timeOperators, "ip_in"].flatMap((op) =>
		noText.map((value): [string, unknown, string, RegExp] => [op, [value], "/values/0", /expected string|Invalid input/]),
	),
	...numberOperators.flatMap((op) =>
		noNumber.map((value): [string, unknown, string, RegExp] => [op, [value], "/values/0", /expected number|Invalid input/]),
	),
	["between", [1, "2"], "/values/1", /between: .*expected number/],
	["lt", [Number.NaN], "/values/0", /./],
	["lt", [Infinity], "/values/0", /./],
	...["equals", "in", "not_in"].flatMap((op) =>
		[null, {}, ["a"]].map((value): [string, unknown, string, RegExp] => [op, [value], "/values/0", /./]),
	),
	["in", ["a", null], "/values/1", /./],
	["in", "CH", "/values", /expected array/],
	["in", ["x".repeat(1_001)], "/values/0", /<=1000 characters/],
	// Of which form.
	...["contains", "starts_with", "ends_with", "matches"].map((op): [string, unknown, string, RegExp] => [
		op,
		[""],
		"/values/0",
		/>=1 character/,
	]),
	["matches", ["x".repeat(201)], "/values/0", /<=200 characters/],
	...semverOperators.map((op): [string, unknown, string, RegExp] => [
		op,
		["1.2"],
		"/values/0",
		new RegExp(`^${op}: is no semantic version: write "1\\.2\\.3"$`),
	]),
	...timeOperators.map((op): [string, unknown, string, RegExp] => [
		op,
		["2026-02-29T00:00:00Z"],
		"/values/0",
		new RegExp(`^${op}: is no RFC 3339 time`),
	]),
	["after", ["2026-01-31"], "/values/0", /^after: is no RFC 3339 time: write "2026-01-31T12:00:00Z"$/],
	["ip_in", ["10.0.0.0/8", "10.0.0.0/33"], "/values/1", /^ip_in: is no network: write "10\.0\.0\.0\/8" or "2001:db8::\/32"$/],
	["ip_in", ["localhost"], "/values/0", /^ip_in: is no network/],
	["like", ["a"], "/op", /Invalid option/],
	["EQUALS", ["a"], "/op", /Invalid option/],
	["constructor", ["a"], "/op", /Invalid option/],
])("refused: %s %j at %s", (op, values, pointer, message) => {
	const found = faultsOf(compare(op, values)).filter((fault) => fault.pointer === pointer);
	expect(found.map((fault) => fault.message).join("\n")).toMatch(message);
	expect(found).not.toEqual([]);
});

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
	["not of several", { not: [compare("exists", [])] }, "/not"],
	["a segment's name of 64 characters", { segment: "s".repeat(64) }, "/segment"],
	["a segment that is no text", { segment: 1 }, "/segment"],
	["a fault far inside", { all: [compare("exists", []), { any: [{ not: compare("lt", ["1"]) }] }] }, "/all/1/any/0/not/values/0"],
	["an unknown operator far inside", { all: [compare("exists", []), { not: compare("like", ["1"]) }] }, "/all/1/not/op"],
	["no condition", {}, ""],
	["null", null, ""],
	["a text", "country = CH", ""],
	["a list", [compare("exists", [])], ""],
])("refused: %s", (_, given, pointer) => {
	const faults = faultsOf(given);
	expect(conditionTree.safeParse(given).success).toBe(false);
	if (pointer !== "") expect(faults.map((fault) => fault.pointer)).toContain(pointer);
});

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
