import { and, eq, sql } from "drizzle-orm";
import { findCycle, longestThrough } from "../../core/flags/cycle";
import { PREREQUISITES_DEEP_MAX } from "../../core/flags/evaluate";
import { NESTING_MAX } from "../../core/flags/ruleset";
import { type Condition, childrenOf, segmentsIn } from "../../core/flags/condition";
import type { FieldError, Flag } from "../../core/flags/model";
import { type Segment, segment as segmentSchema } from "../../core/flags/segment";
import { compilePattern } from "../patterns/compile";
import type { Database } from "./database";
import { selectRouted } from "./gatewayReferences";
import { parseJson } from "./json";
import { flags, segments } from "./schema";

/**
 * What a flag or a segment names must exist, must not lead back to it, its patterns must compile and its ranges not be empty.
 * Asked when it is written, not by the schema: that reads stored rows too, and would take what was once accepted for damaged.
 */

/** All that flags and segments may name, those under check among them as they would be. */
export interface World {
	readonly environment: string;
	/** Segment → the segments that it names. */
	readonly segments: Map<string, readonly string[]>;
	readonly flags: Map<string, Placed>;
	/** They name a flag, and its variants. */
	readonly routes: readonly { readonly key: string; readonly flag: string; readonly variants: readonly string[] }[];
}
interface Placed {
	readonly variants: readonly string[];
	readonly requires: Flag["prerequisites"];
}

/** All of it as of now. */
export async function readWorld(db: Database, environment: string): Promise<World> {
	return worldOf(environment, ...(await db.batch(selectWorld(db, environment))));
}

export async function checkFlagReferences(db: Database, environment: string, flag: Flag): Promise<FieldError[]> {
	const world = await readWorld(db, environment);
	place(world, flag);
	return checksIn(world).flagErrors(flag);
}

export async function checkSegmentReferences(db: Database, environment: string, segment: Segment): Promise<FieldError[]> {
	if (!segment.when) return [];
	const world = worldOf(environment, await selectWorld(db, environment)[0], [], []);
	placeSegment(world, segment);
	return checksIn(world).segmentErrors(segment);
}

/**
 * Of a world in which everything is placed that is to be checked. What has to be known of the whole of it is found out once,
 * when it is first needed.
 */
export function checksIn(world: World) {
	const requiresOf = (name: string): readonly string[] => (world.flags.get(name)?.requires ?? []).map(({ flag }) => flag);
	const namesOf = (name: string): readonly string[] => world.segments.get(name) ?? [];
	const chain = once(() => longestThrough(world.flags.keys(), requiresOf));
	const nesting = once(() => longestThrough(world.segments.keys(), namesOf));
	const required = once(() => requiredIn(world));
	return {
		/** Of a flag that takes the place of one with other variants; undefined: of one that nobody can read. */
		variantErrors(flag: Flag, before: Flag | undefined): FieldError[] {
			const lost = (variant: string): boolean =>
				!Object.hasOwn(flag.variants, variant) && (!before || Object.hasOwn(before.variants, variant));
			return [...(required().get(flag.key) ?? [])]
				.filter(([variant]) => lost(variant))
				.map(([variant, by]) => ({
					pointer: "/variants",
					message: `${printSome(by)} require the variant "${variant}": change them first`,
				}));
		},
		flagErrors(flag: Flag): FieldError[] {
			const errors = namedErrors(world, flag);
			if (flag.prerequisites.length === 0) return errors;
			const names = chain()(flag.key);
			const cycle = names === Infinity ? findCycle(flag.key, requiresOf) : undefined;
			const deep = names - 1;
			if (cycle && cycle.length > 2) errors.push({ pointer: "/prerequisites", message: printCycle(cycle) });
			if (names !== Infinity && deep > PREREQUISITES_DEEP_MAX)
				errors.push({ pointer: "/prerequisites", message: `makes a chain of ${deep} prerequisites > limit ${PREREQUISITES_DEEP_MAX}` });
			return errors;
		},
		segmentErrors(segment: Segment): FieldError[] {
			if (!segment.when) return [];
			const errors = checkCondition(segment.when, "/when", world.segments);
			const deep = nesting()(segment.key);
			const cycle = deep === Infinity ? findCycle(segment.key, namesOf) : undefined;
			if (cycle) errors.push({ pointer: "/when", message: printCycle(cycle) });
			if (deep !== Infinity && deep > NESTING_MAX)
				errors.push({ pointer: "/when", message: `nests segments ${deep} deep > limit ${NESTING_MAX}` });
			return errors;
		},
	};
}

const NAMES_SHOWN = 20;

function printSome(names: readonly string[]): string {
	const shown = names.slice(0, NAMES_SHOWN).join(", ");
	return names.length > NAMES_SHOWN ? `${shown} and ${names.length - NAMES_SHOWN} others` : shown;
}

/** Each of a thousand flags on one cycle is told of it: in full that would be a million names. */
function printCycle(cycle: readonly string[]): string {
	if (cycle.length <= NAMES_SHOWN) return `is a cycle: ${cycle.join(" → ")}`;
	const [first, last] = [cycle.slice(0, NAMES_SHOWN / 2), cycle.slice(-NAMES_SHOWN / 2)];
	return `is a cycle of ${cycle.length - 1}: ${first.join(" → ")} → … → ${last.join(" → ")}`;
}

function once<T>(find: () => T): () => T {
	let found: { readonly value: T } | undefined;
	return () => (found ??= { value: find() }).value;
}

/** Flag → variant → the flags and routes that require it. */
function requiredIn({ flags: all, routes }: World): Map<string, Map<string, string[]>> {
	const required = new Map<string, Map<string, string[]>>();
	const requires = (by: string, flag: string, variants: readonly string[]): void => {
		const byVariant = required.get(flag) ?? new Map<string, string[]>();
		required.set(flag, byVariant);
		for (const variant of variants) {
			const others = byVariant.get(variant);
			if (others) others.push(by);
			else byVariant.set(variant, [by]);
		}
	};
	for (const [by, placed] of all) for (const { flag, variants } of placed.requires) requires(by, flag, variants);
	for (const { key, flag, variants } of routes) requires(`routes/${key}`, flag, variants);
	return required;
}

function namedErrors({ environment, segments: known, flags: all }: World, flag: Flag): FieldError[] {
	const errors = flag.rules.flatMap((rule, i) => checkCondition(rule.when, `/rules/${i}/when`, known));
	flag.prerequisites.forEach(({ flag: name, variants }, i) => {
		const other = all.get(name);
		if (name === flag.key) return; // checkFlag has said so
		if (!other) errors.push({ pointer: `/prerequisites/${i}/flag`, message: `there is no flag ${name} in ${environment}` });
		else
			variants.forEach((variant, k) => {
				if (!other.variants.includes(variant))
					errors.push({
						pointer: `/prerequisites/${i}/variants/${k}`,
						message: `flag ${name} has no variant "${variant}": it has ${other.variants.join(", ")}`,
					});
			});
	});
	return errors;
}

export function place({ flags: all }: World, flag: Flag): void {
	all.set(flag.key, { variants: Object.keys(flag.variants), requires: flag.prerequisites });
}

export function placeSegment({ segments: all }: World, segment: Segment): void {
	all.set(segment.key, segment.when ? segmentsIn(segment.when) : []);
}

/** Statements, so they can stand in a batch. A corrupt flag is there for nobody. */
export function selectWorld(db: Database, environment: string) {
	return [
		db
			.select({ key: segments.key, config: sql<string>`${segments.config}` })
			.from(segments)
			.where(eq(segments.environment, environment)),
		db
			.select({
				key: flags.key,
				variants: sql<string>`(SELECT json_group_array(key) FROM json_each(${flags.config}, '$.variants'))`,
				requires: sql<string>`CASE json_type(${flags.config}, '$.prerequisites') WHEN 'array' THEN json_extract(${flags.config}, '$.prerequisites') ELSE '[]' END`,
			})
			.from(flags)
			.where(and(eq(flags.environment, environment), sql`json_valid(${flags.config})`)),
		selectRouted(db, environment),
	] as const;
}

export function worldOf(
	environment: string,
	segmentRows: readonly { readonly key: string; readonly config: string }[],
	flagRows: readonly { readonly key: string; readonly variants: string; readonly requires: string }[],
	routeRows: readonly { readonly key: string; readonly flag: string; readonly variants: string }[],
): World {
	return {
		environment,
		segments: new Map(segmentRows.map(({ key, config }) => [key, segmentsIn(parseJson(segmentSchema, config)?.when ?? { all: [] })])),
		flags: new Map(
			flagRows.map(({ key, variants, requires }) => [
				key,
				{ variants: JSON.parse(variants) as string[], requires: (JSON.parse(requires) as unknown[]).filter(isPrerequisite) },
			]),
		),
		routes: routeRows.map(({ key, flag, variants }) => ({ key, flag, variants: JSON.parse(variants) as string[] })),
	};
}

/** By hand: thousands of flags are read whenever one is written. */
function isPrerequisite(found: unknown): found is Flag["prerequisites"][number] {
	const { flag, variants } = (found ?? {}) as { readonly flag?: unknown; readonly variants?: unknown };
	return typeof flag === "string" && Array.isArray(variants);
}

function checkCondition(tree: Condition, pointer: string, known: ReadonlyMap<string, unknown>): FieldError[] {
	if ("segment" in tree)
		return known.has(tree.segment) ? [] : [{ pointer: `${pointer}/segment`, message: `there is no segment ${tree.segment}` }];
	if ("op" in tree) {
		if (tree.op === "between") {
			const [lowest, highest] = tree.values.map(Number);
			const isEmpty = lowest !== undefined && highest !== undefined && lowest > highest;
			return isEmpty ? [{ pointer: `${pointer}/values`, message: `between takes the lowest first: ${lowest} > ${highest}` }] : [];
		}
		if (tree.op !== "matches") return [];
		return tree.values.flatMap((value, i) => {
			const compiled = compilePattern(String(value));
			const at = compiled.ok ? 0 : compiled.error.position + 1;
			return compiled.ok ? [] : [{ pointer: `${pointer}/values/${i}`, message: `${compiled.error.message} (at character ${at})` }];
		});
	}
	const kind = "all" in tree ? "all" : "any" in tree ? "any" : "not";
	return childrenOf(tree).flatMap((child, i) =>
		checkCondition(child, kind === "not" ? `${pointer}/not` : `${pointer}/${kind}/${i}`, known),
	);
}
