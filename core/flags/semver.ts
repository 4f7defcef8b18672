/** A version of Semantic Versioning 2.0.0 (semver.org): three numbers, then the pre-release's parts. Build metadata has no rank. */
export type Semver = readonly [major: number, minor: number, patch: number, prerelease: readonly (number | string)[]];

const CHARACTERS_MAX = 256;
const DIGITS = /^(?:0|[1-9]\d{0,15})$/;
const IDENTIFIER = /^[0-9A-Za-z-]+$/;

/** undefined: the text is no version. A leading `v` is taken, as most clients send it. */
export function parseSemver(text: string): Semver | undefined {
	if (text.length > CHARACTERS_MAX) return undefined;
	const [withoutBuild = "", build, ...more] = (text.startsWith("v") ? text.slice(1) : text).split("+");
	if (more.length > 0 || (build !== undefined && !build.split(".").every((part) => IDENTIFIER.test(part)))) return undefined;
	const dash = withoutBuild.indexOf("-");
	const core = (dash < 0 ? withoutBuild : withoutBuild.slice(0, dash)).split(".");
	if (core.length !== 3 || !core.every(isNumber)) return undefined;
	const prerelease: (number | string)[] = [];
	for (const part of dash < 0 ? [] : withoutBuild.slice(dash + 1).split(".")) {
		if (isNumber(part)) prerelease.push(Number(part));
		else if (IDENTIFIER.test(part) && !/^\d+$/.test(part)) prerelease.push(part);
		else return undefined;
	}
	return [Number(core[0]), Number(core[1]), Number(core[2]), prerelease];
}

/** Beyond 2^53 two numbers could be one: refused. */
const isNumber = (text: string): boolean => DIGITS.test(text) && Number.isSafeInteger(Number(text));

/** Negative, zero or positive, by the precedence of §11. */
export function compareSemver(a: Semver, b: Semver): number {
	const core = a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
	if (core !== 0) return core;
	const [left, right] = [a[3], b[3]];
	// A release ranks above its pre-releases.
	if (left.length === 0 || right.length === 0) return right.length - left.length;
	for (let i = 0; i < Math.min(left.length, right.length); i++) {
		const order = comparePart(left[i] ?? 0, right[i] ?? 0);
		if (order !== 0) return order;
	}
	return left.length - right.length;
}

function comparePart(a: number | string, b: number | string): number {
	if (typeof a === "number") return typeof b === "number" ? a - b : -1;
	if (typeof b === "number") return 1;
	return a < b ? -1 : a > b ? 1 : 0;
}
