import { and, eq, ne, sql } from "drizzle-orm";
import { findCycle } from "../../core/flags/cycle";
import { type Condition, childrenOf, segmentsIn } from "../../core/flags/condition";
import type { FieldError, Flag } from "../../core/flags/model";
import { type Segment, segment as segmentSchema } from "../../core/flags/segment";
import { compilePattern } from "../patterns/compile";
import type { Database } from "./database";
import { parseJson } from "./json";
import { flags, segments } from "./schema";

/** What a flag or a segment names must exist, must not lead back to it, and its patterns must compile. */

export async function checkFlagReferences(db: Database, environment: string, flag: Flag): Promise<FieldError[]> {
	const errors: FieldError[] = [];
	const known = await segmentsByKey(db, environment);
	flag.rules.forEach((rule, i) => errors.push(...checkCondition(rule.when, `/rules/${i}/when`, known)));
	if (flag.prerequisites.length === 0) return errors;

	const required = await requirements(db, environment, flag);
	flag.prerequisites.forEach(({ flag: name, variants }, i) => {
		const other = required.get(name);
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
	const cycle = findCycle(flag.key, (name) => required.get(name)?.requires ?? []);
	if (cycle && cycle.length > 2) errors.push({ pointer: "/prerequisites", message: `is a cycle: ${cycle.join(" → ")}` });
	return errors;
}

export async function checkSegmentReferences(db: Database, environment: string, segment: Segment): Promise<FieldError[]> {
	if (!segment.when) return [];
	const known = await segmentsByKey(db, environment);
	known.set(segment.key, segmentsIn(segment.when));
	const errors = checkCondition(segment.when, "/when", known);
	const cycle = findCycle(segment.key, (name) => known.get(name) ?? []);
	if (cycle) errors.push({ pointer: "/when", message: `is a cycle: ${cycle.join(" → ")}` });
	return errors;
}

/** Segment → the segments that it names. */
async function segmentsByKey(db: Database, environment: string): Promise<Map<string, readonly string[]>> {
	const rows = await db
		.select({ key: segments.key, config: sql<string>`${segments.config}` })
		.from(segments)
		.where(eq(segments.environment, environment));
	return new Map(rows.map(({ key, config }) => [key, segmentsIn(parseJson(segmentSchema, config)?.when ?? { all: [] })]));
}

function checkCondition(tree: Condition, pointer: string, known: ReadonlyMap<string, unknown>): FieldError[] {
	if ("segment" in tree)
		return known.has(tree.segment) ? [] : [{ pointer: `${pointer}/segment`, message: `there is no segment ${tree.segment}` }];
	if ("op" in tree) {
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

interface Requirement {
	readonly variants: readonly string[];
	readonly requires: readonly string[];
}

/** Every flag of the environment with its variants and what it requires, this one as it would be. */
async function requirements(db: Database, environment: string, flag: Flag): Promise<ReadonlyMap<string, Requirement>> {
	const rows = await db
		.select({
			key: flags.key,
			variants: sql<string>`(SELECT json_group_array(key) FROM json_each(${flags.config}, '$.variants'))`,
			requires: sql<string>`(SELECT json_group_array(value ->> 'flag') FROM json_each(${flags.config}, '$.prerequisites'))`,
		})
		.from(flags)
		.where(and(eq(flags.environment, environment), ne(flags.key, flag.key), sql`json_valid(${flags.config})`));
	const all = rows.map(({ key, variants, requires }): [string, Requirement] => [
		key,
		{ variants: JSON.parse(variants) as string[], requires: JSON.parse(requires) as string[] },
	]);
	const own: Requirement = { variants: Object.keys(flag.variants), requires: flag.prerequisites.map((each) => each.flag) };
	return new Map([...all, [flag.key, own]]);
}
