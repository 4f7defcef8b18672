import { and, asc, desc, eq, gte, lt, max, sql, sum } from "drizzle-orm";
import type { SQLiteColumn } from "drizzle-orm/sqlite-core";
import * as z from "zod";
import type { Compared, ComparedSample } from "../../core/wire";
import type { Database } from "./database";
import { parseJson } from "./json";
import { compareDays, compareSamples } from "./schema";

/** What comparing finds, day by day (UTC). */

const SUBJECTS_MAX = 50;
/** Of a subject's day. */
const SAMPLES_MAX = 100;
const SAMPLE_BYTES_MAX = 16 * 1_024;
/** Of one call: a parameter of D1 holds 2 MB. */
const SAMPLES_BYTES_MAX = 1_500_000;
const KEPT_DAYS = 90;
const LISTED_DAYS = 7;
const LISTED_MAX = 500;
const DAY_MS = 86_400_000;

export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

const count = z.int().min(0).max(1e9);
const milliseconds = z.number().min(0).max(1e15);
/** What comes from the edge is not believed to be well formed. */
const compared = z.object({
	// A route and a flag may have the same key.
	subject: z
		.string()
		.regex(/^(?:flag\/)?[^/]{1,63}$/)
		.transform((text) => (text.startsWith("flag/") ? text : `route/${text}`)),
	phase: z.string().max(63),
	queries: count,
	discrepancies: count,
	errors: count,
	legacyMs: milliseconds,
	candidateMs: milliseconds,
	timed: count,
	samples: z.array(z.unknown()).max(1_000),
});
const sample = z.object({
	input: z.string(),
	legacy: z.string(),
	candidate: z.string(),
	differences: z.array(z.object({ at: z.string(), legacy: z.unknown(), candidate: z.unknown() })),
});

/** Adds to the day. What is malformed is left out, and what is too much: a report counts all of it, and shows some. */
export async function recordCompared(db: Database, environment: string, given: readonly Compared[], nowMs: number): Promise<void> {
	const rows = given.slice(0, SUBJECTS_MAX).flatMap((each) => compared.safeParse(each).data ?? []);
	if (rows.length === 0) return;
	const day = dayOf(nowMs);
	await db.batch([
		db
			.insert(compareDays)
			.select(
				sql`SELECT ${environment}, value ->> 'subject', ${day}, sum(value ->> 'queries'), sum(value ->> 'discrepancies'), sum(value ->> 'errors'), sum(value ->> 'legacyMs'), sum(value ->> 'candidateMs'), sum(value ->> 'timed'), max(value ->> 'phase') FROM json_each(${JSON.stringify(rows, (name, value: unknown) => (name === "samples" ? undefined : value))}) WHERE EXISTS (SELECT 1 FROM environments WHERE name = ${environment}) GROUP BY value ->> 'subject'`,
			)
			.onConflictDoUpdate({
				target: [compareDays.environment, compareDays.subject, compareDays.day],
				set: {
					queries: sql`queries + excluded.queries`,
					discrepancies: sql`discrepancies + excluded.discrepancies`,
					errors: sql`errors + excluded.errors`,
					legacyMs: sql`legacy_ms + excluded.legacy_ms`,
					candidateMs: sql`candidate_ms + excluded.candidate_ms`,
					timed: sql`timed + excluded.timed`,
					phase: sql`CASE excluded.phase WHEN '' THEN phase ELSE excluded.phase END`,
				},
			}),
		db.insert(compareSamples).select(
			sql`SELECT NULL, ${environment}, subject, ${day}, ${nowMs}, sample FROM (
				SELECT value ->> 'subject' AS subject, value -> 'sample' AS sample, row_number() OVER (PARTITION BY value ->> 'subject' ORDER BY key) AS n
				FROM json_each(${JSON.stringify(samplesOf(rows))})) AS found
				WHERE EXISTS (SELECT 1 FROM environments WHERE name = ${environment}) AND n + (SELECT count(*) FROM compare_samples AS kept WHERE kept.environment = ${environment} AND kept.subject = found.subject AND kept.day = ${day}) <= ${SAMPLES_MAX}`,
		),
	]);
}

/** As many as a batch of events has. */
const IDS_MAX = 500;
const ID_LENGTH_MAX = 100;
/** Beside the same event's id, by which its outcome is counted once. */
const PREFIX = "compared/";

/**
 * Of the events, those that nobody was heard of before; from now on they were. An event is counted once although its batch is sent again,
 * and not at all where the caller dies between this and counting it.
 */
export async function unheardIds(db: D1Database, environment: string, ids: readonly string[], nowMs: number): Promise<string[]> {
	const given = ids.filter((id) => typeof id === "string" && id.length <= ID_LENGTH_MAX).slice(0, IDS_MAX);
	if (given.length === 0) return [];
	const { results } = await db
		.prepare(
			`INSERT INTO telemetry_event_ids (environment, id, at_ms)
			SELECT DISTINCT ?1, ?2 || value, ?3 FROM json_each(?4) WHERE true
			ON CONFLICT DO NOTHING RETURNING id`,
		)
		.bind(environment, PREFIX, nowMs, JSON.stringify(given))
		.all<{ id: string }>();
	return results.map(({ id }) => id.slice(PREFIX.length));
}

function samplesOf(rows: readonly z.infer<typeof compared>[]): { readonly subject: string; readonly sample: ComparedSample }[] {
	const encoder = new TextEncoder();
	let left = SAMPLES_BYTES_MAX;
	return rows.flatMap(({ subject, samples }) =>
		samples.slice(0, SAMPLES_MAX).flatMap((given) => {
			const { data } = sample.safeParse(given);
			const bytes = data ? encoder.encode(JSON.stringify(data)).length : Infinity;
			if (!data || bytes > SAMPLE_BYTES_MAX || bytes > left) return [];
			left -= bytes;
			return [{ subject, sample: data }];
		}),
	);
}

export const COMPARED_KINDS = ["route", "flag"] as const;
export type ComparedKind = (typeof COMPARED_KINDS)[number];
/** As subjects are stored. */
export const subjectOf = (kind: ComparedKind, key: string): string => `${kind}/${key}`;

export interface ComparedDay {
	readonly phase: string;
	readonly queries: number;
	readonly discrepancies: number;
	readonly errors: number;
}

/** Of one day: what was counted, undefined where nothing was, and the samples, first ones first. */
export async function readDay(
	db: Database,
	environment: string,
	subject: string,
	day: string,
): Promise<{ readonly counted: ComparedDay | undefined; readonly samples: readonly ComparedSample[] }> {
	const [days, samples] = await db.batch([
		db
			.select({
				phase: compareDays.phase,
				queries: compareDays.queries,
				discrepancies: compareDays.discrepancies,
				errors: compareDays.errors,
			})
			.from(compareDays)
			.where(and(of(environment, subject), eq(compareDays.day, day))),
		db
			.select({ text: sql<string>`${compareSamples.sample}` })
			.from(compareSamples)
			.where(and(eq(compareSamples.environment, environment), eq(compareSamples.subject, subject), eq(compareSamples.day, day)))
			.orderBy(asc(compareSamples.id))
			.limit(SAMPLES_MAX),
	]);
	return { counted: days[0], samples: samples.flatMap(({ text }) => parseJson(sample, text) ?? []) };
}

export async function wasCompared(db: Database, environment: string, subject: string): Promise<boolean> {
	return (await db.select({ day: compareDays.day }).from(compareDays).where(of(environment, subject)).limit(1)).length > 0;
}

/** Of the last seven days, today among them: those with the most discrepancies first. */
export async function listCompared(db: Database, environment: string, nowMs: number) {
	const total = (column: SQLiteColumn) => sum(column).mapWith(Number);
	const rows = await db
		.select({
			subject: compareDays.subject,
			queries: total(compareDays.queries),
			discrepancies: total(compareDays.discrepancies),
			errors: total(compareDays.errors),
			legacyMs: total(compareDays.legacyMs),
			candidateMs: total(compareDays.candidateMs),
			timed: total(compareDays.timed),
			lastDay: max(compareDays.day).mapWith(String),
		})
		.from(compareDays)
		.where(and(eq(compareDays.environment, environment), gte(compareDays.day, dayOf(nowMs - (LISTED_DAYS - 1) * DAY_MS))))
		.groupBy(compareDays.subject)
		.orderBy(desc(sum(compareDays.discrepancies)), asc(compareDays.subject))
		.limit(LISTED_MAX);
	return rows.map(({ subject, ...row }) => {
		const kind = COMPARED_KINDS.find((each) => subject.startsWith(`${each}/`)) ?? "route";
		return { ...row, kind, key: subject.slice(subject.indexOf("/") + 1) };
	});
}

/** Days are real ones. */
export async function pruneCompared(db: Database, realNowMs: number): Promise<void> {
	const first = dayOf(realNowMs - KEPT_DAYS * DAY_MS);
	await db.batch([
		db.delete(compareDays).where(lt(compareDays.day, first)),
		db.delete(compareSamples).where(lt(compareSamples.day, first)),
	]);
}

const of = (environment: string, subject: string) => and(eq(compareDays.environment, environment), eq(compareDays.subject, subject));
