import * as fc from "fast-check";
import { BUCKETS } from "../../../core/flags/bucket";
import type { Context } from "../../../core/flags/match";
import type { Flag, FlagValue, Serve } from "../../../core/flags/model";
import { type ActiveOverlay, NO_OVERLAY } from "../../../core/flags/overlay";
import { type Ruleset, type Snapshot, openSnapshot } from "../../../core/flags/ruleset";
import { type EnvironmentState, type LiveRollout, pack, packFlag } from "../../../core/flags/snapshot";

/** Valid by default; a test changes one field. */
export function aFlag(change: Partial<Flag> = {}): Flag {
	return {
		key: "checkout",
		type: "boolean",
		variants: { true: true, false: false },
		enabled: true,
		offVariant: "false",
		rules: [],
		fallthrough: "false",
		salt: "checkout",
		description: "",
		...change,
	};
}

export function aRule(change: Partial<Flag["rules"][number]> = {}): Flag["rules"][number] {
	return { id: "swiss", description: "", when: { attribute: "country", op: "in", values: ["CH"] }, serve: "true", ...change };
}

export function aRollout(change: Partial<LiveRollout> = {}): LiveRollout {
	return {
		key: "checkout.1",
		flags: { checkout: "true" },
		served: 5_000,
		phase: "phase_1",
		stage: 1,
		sinceMs: 1_000,
		before: null,
		...change,
	};
}

export function anEnvironment(change: Partial<EnvironmentState> = {}): EnvironmentState {
	return { environment: "production", version: 7, publishedAtMs: 1_000, flags: [aFlag()], damaged: [], rollouts: [], ...change };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
export const encode = (text: string): Uint8Array => encoder.encode(text);
export const decode = (bytes: Uint8Array): string => decoder.decode(bytes);

export function open(state: EnvironmentState): Snapshot {
	return openSnapshot(encode(pack(state).body), decode);
}

/** The same state without packing: what evaluating a snapshot must agree with. */
export function rulesetOf({ version, flags, rollouts }: Pick<EnvironmentState, "version" | "flags" | "rollouts">): Ruleset {
	const packed = new Map(
		flags.map((flag) => [
			flag.key,
			packFlag(
				flag,
				rollouts.find((rollout) => Object.hasOwn(rollout.flags, flag.key)),
			),
		]),
	);
	return { version, flag: (key) => packed.get(key) };
}

export function anOverlay(change: { readonly kill?: readonly string[]; readonly baseline?: readonly string[] }): ActiveOverlay {
	const named = (keys: readonly string[] = []) => new Map(keys.map((key) => [key, "head"]));
	return { ...NO_OVERLAY, kill: named(change.kill), baseline: named(change.baseline) };
}

/** Any UTF-16 text, lone surrogates included. */
export const anyText = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }).map((units) => String.fromCharCode(...units));

const ATTRIBUTES = ["country", "plan", "constructor", "__proto__", "targetingKey"];
const anAttributeValue = fc.oneof(fc.constantFrom<FlagValue>("CH", "DE", "", 1, 0, true, false), anyText);

/** Built as JSON.parse builds it: `__proto__` is an own property. */
export const aContext: fc.Arbitrary<Context> = fc
	.uniqueArray(fc.tuple(fc.constantFrom(...ATTRIBUTES), fc.oneof(anAttributeValue, fc.constantFrom(null, [], {}))), {
		selector: ([name]) => name,
	})
	.map((entries) => Object.fromEntries(entries));

const aKey = fc.oneof(fc.constantFrom("constructor", "tostring", "0"), fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,12}$/));
const aVariantName = fc.oneof(
	fc.constantFrom("constructor", "toString", "1", "true"),
	fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,8}$/),
);
const aValueOf: Record<Flag["type"], fc.Arbitrary<FlagValue>> = {
	boolean: fc.boolean(),
	string: anyText,
	// JSON has no −0.
	number: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
};

function aServe(names: readonly string[]): fc.Arbitrary<Serve> {
	const name = fc.constantFrom(...names);
	const split = fc.array(fc.tuple(name, fc.integer({ min: 0, max: BUCKETS })), { minLength: 1, maxLength: 4 }).map((parts) => {
		const bounds = [...parts.map(([, bound]) => bound).sort((a, b) => a - b)];
		bounds[bounds.length - 1] = BUCKETS;
		return parts.map(([variant], i) => ({ variant, weight: (bounds[i] ?? 0) - (bounds[i - 1] ?? 0) }));
	});
	return fc.oneof(name, split);
}

/** A flag that checkFlag accepts. */
export const someFlag: fc.Arbitrary<Flag> = fc
	.record({
		type: fc.constantFrom<Flag["type"]>("boolean", "string", "number"),
		names: fc.uniqueArray(aVariantName, { minLength: 1, maxLength: 4 }),
	})
	.chain(({ type, names }) =>
		fc.record({
			key: aKey,
			type: fc.constant(type),
			variants: fc
				.array(aValueOf[type], { minLength: names.length, maxLength: names.length })
				.map((values) => Object.fromEntries(names.map((name, i) => [name, values[i] ?? false]))),
			enabled: fc.boolean(),
			offVariant: fc.constantFrom(...names),
			rules: fc.uniqueArray(
				fc.record({
					id: fc.string({ minLength: 1, maxLength: 8 }),
					description: fc.constant(""),
					when: fc.record({
						attribute: fc.constantFrom(...ATTRIBUTES),
						op: fc.constant("in" as const),
						values: fc.array(anAttributeValue, { minLength: 1, maxLength: 3 }),
					}),
					serve: aServe(names),
				}),
				{ selector: ({ id }) => id, maxLength: 3 },
			),
			fallthrough: aServe(names),
			salt: fc.string({ minLength: 1, maxLength: 20 }),
			description: fc.constant(""),
		}),
	);

export const someFlags = fc.uniqueArray(someFlag, { selector: ({ key }) => key, maxLength: 6 });

/** Flags, and a rollout over those of them that have a baseline. */
export const someEnvironment: fc.Arbitrary<EnvironmentState> = fc
	.record({
		flags: someFlags,
		served: fc.integer({ min: 1, max: BUCKETS }),
		isRolling: fc.boolean(),
		version: fc.integer({ min: 1, max: 2 ** 31 }),
		pick: fc.nat({ max: 3 }),
	})
	.map(({ flags, served, isRolling, version, pick }) => {
		const candidates = flags
			.filter(({ fallthrough }) => typeof fallthrough === "string")
			.map(({ key, variants }): [string, string] => [key, Object.keys(variants)[pick % Object.keys(variants).length] ?? ""]);
		const rollouts = isRolling && candidates.length > 0 ? [aRollout({ flags: Object.fromEntries(candidates), served })] : [];
		return anEnvironment({ version, flags, rollouts });
	});
