import * as fc from "fast-check";
import semver from "semver";
import { expect, test } from "vitest";
import { compareSemver, parseSemver } from "../../../core/flags/semver";

const aNumber = fc.oneof({ weight: 5, arbitrary: fc.nat({ max: 12 }) }, fc.nat()).map(String);
const anIdentifier = fc.oneof(
	aNumber,
	fc.stringMatching(/^[0-9A-Za-z-]{0,4}[A-Za-z-][0-9A-Za-z-]{0,4}$/),
	fc.constantFrom("alpha", "beta", "rc"),
);
const aTail = (sign: string) =>
	fc.oneof(
		fc.constant(""),
		fc.array(anIdentifier, { minLength: 1, maxLength: 4 }).map((parts) => `${sign}${parts.join(".")}`),
	);
const aVersion = fc
	.tuple(fc.constantFrom("", "v"), aNumber, aNumber, aNumber, aTail("-"), aTail("+"))
	.map(([v, major, minor, patch, prerelease, build]) => `${v}${major}.${minor}.${patch}${prerelease}${build}`);

/** One character more, less or other. */
const aMutation = fc
	.tuple(
		aVersion,
		fc.nat({ max: 30 }),
		fc.constantFrom("", ".", "-", "+", "0", "1", "x", "v", "=", "_", "ü", "\n", "..", "01"),
		fc.nat({ max: 2 }),
	)
	.map(([version, at, inserted, removed]) => version.slice(0, at) + inserted + version.slice(at + removed))
	// npm's parser strips blanks around a version, and compares numbers of a pre-release beyond 2^53 as texts.
	.filter((text) => text === text.trim() && !/\d{16}/.test(text));

test("what npm's semver parses is parsed to the same parts, and nothing else is", () => {
	fc.assert(
		fc.property(fc.oneof(aVersion, aMutation), (text) => {
			const expected = semver.parse(text);
			const parts = expected && [expected.major, expected.minor, expected.patch, [...expected.prerelease]];
			expect(parseSemver(text) ?? null).toEqual(parts);
		}),
		{ numRuns: 3_000 },
	);
});

test("versions rank as npm's semver ranks them", () => {
	fc.assert(
		fc.property(aVersion, aVersion, (one, other) => {
			const [a, b] = [parseSemver(one), parseSemver(other)];
			if (!a || !b) throw new Error("no version");
			expect(Math.sign(compareSemver(a, b))).toBe(semver.compare(one, other));
		}),
		{ numRuns: 3_000 },
	);
});

test("the order of semver.org's own example", () => {
	const order = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"];
	const parsed = order.map((text) => parseSemver(text) ?? ([0, 0, 0, []] as const));
	expect(parsed.toSorted(compareSemver)).toEqual(parsed);
	expect(parsed.toReversed().sort(compareSemver)).toEqual(parsed);
});

test.each([
	["two numbers", "1.2"],
	["four numbers", "1.2.3.4"],
	["a leading zero", "1.02.3"],
	["a leading zero in the pre-release", "1.2.3-01"],
	["an empty pre-release", "1.2.3-"],
	["an empty part of the pre-release", "1.2.3-a..b"],
	["an empty build", "1.2.3+"],
	["two builds", "1.2.3+a+b"],
	["a capital V", "V1.2.3"],
	["two v", "vv1.2.3"],
	["a range", "^1.2.3"],
	["a blank before it", " 1.2.3"],
	["a sign", "-1.2.3"],
	["digits of another script", "١.٢.٣"],
	["a number beyond 2^53", "9007199254740993.0.0"],
	["a number beyond 2^53 in the pre-release", "1.2.3-9007199254740993"],
	["257 characters", `1.2.3-${"a".repeat(251)}`],
	["nothing", ""],
])("no version: %s", (_, text) => expect(parseSemver(text)).toBeUndefined());

test.each(["1.2.3", "v1.2.3", "1.2.3+build.007", "1.2.3-0a.-.x", "9007199254740991.0.0", `1.2.3-${"a".repeat(250)}`])(
	"%s is a version",
	(text) => {
		expect(parseSemver(text)).toBeDefined();
	},
);
