import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { evaluate } from "../../../core/flags/evaluate";
import type { Context } from "../../../core/flags/match";
import type { Flag } from "../../../core/flags/model";
import { type Overlay, unite } from "../../../core/flags/overlay";
import type { Segment } from "../../../core/flags/segment";
import type { LiveRollout } from "../../../core/flags/snapshot";
import { aSegment, anEnvironment, open } from "./fixtures";
import { answerOf } from "./reference";

interface Environment {
	readonly flags: readonly Flag[];
	readonly segments: readonly { readonly segment: Segment; readonly keys: readonly string[] }[];
	readonly rollouts: readonly LiveRollout[];
	readonly overlay: Overlay;
}
interface Case {
	readonly name: string;
	readonly environment: string;
	readonly flag: string;
	readonly context: Context;
	readonly expected:
		| { readonly errorCode: string }
		| { readonly value: unknown; readonly variant: string; readonly reason: string; readonly metadata: object };
}

/** Parsed here, since a bundler's object would lose an own `__proto__`. */
const { specVersion, environments, cases } = JSON.parse(
	readFileSync(join(import.meta.dirname, "../../vectors/evaluation.json"), "utf8"),
) as {
	readonly specVersion: string;
	readonly environments: Readonly<Record<string, Environment>>;
	readonly cases: readonly Case[];
};

function environmentOf({ environment }: Case): Environment {
	const found = environments[environment];
	if (!found) throw new Error(`no environment ${environment}`);
	return found;
}

const snapshots = new Map(
	Object.entries(environments).map(([name, { flags, segments, rollouts }]) => [
		name,
		open(anEnvironment({ flags, rollouts, segments: segments.map(({ segment, keys }) => aSegment({ ...segment, keys })) })),
	]),
);

test("the table is of version 1.2.0, and large enough to mean something", () => {
	expect(specVersion).toBe("1.2.0");
	expect(cases.length).toBeGreaterThanOrEqual(300);
	expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
	const used = new Set(cases.map(({ environment }) => environment));
	expect([...used].sort()).toEqual(Object.keys(environments).sort());
});

describe("evaluating a packed snapshot", () => {
	test.each(cases)("$name", (given) => {
		const snapshot = snapshots.get(given.environment);
		if (!snapshot) throw new Error("no snapshot");
		const resolution = evaluate(snapshot, unite({ head: environmentOf(given).overlay }), given.flag, given.context);
		expect(resolution).toMatchObject(given.expected);
		if ("value" in given.expected) expect(resolution).toHaveProperty("value", given.expected.value);
	});
});

/** Its libraries read operands that packing refuses, so what is broken when it is packed is not its subject. */
const readable = cases.filter(({ environment }) => environment !== "broken");

describe("the reference, which reads the authoring form, agrees with the table", () => {
	test.each(readable)("$name", (given) => {
		expect(answerOf(environmentOf(given), given.flag, given.context).answer).toMatchObject(given.expected);
	});
});
