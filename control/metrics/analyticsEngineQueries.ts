import { QUANTILES } from "../../core/health/observation";
import { COLUMNS, INDEXES, KINDS, LOG_VALUE_MIN, slotColumn } from "../../core/telemetry";
import type { Question } from "./source";
import { anyOf, double, instant, noneOf, number, oneOf, text } from "./sql";

/**
 * The queries of analyticsEngine.ts. One is asked for all rollouts at once, so what differs from one to the next is in its
 * conditions. Two ways to count, never mixed: what is shown is weighted by the sampling interval; evidence counts the rows there
 * are, because a row that stands for fifty requests is still one user's.
 */

export const C = COLUMNS;
const FORMAT = "FORMAT JSON";
const EVIDENCE_ARMS = ["candidate", "control"];

/** A question with its window in whole seconds; `afterSeconds` null: never read. */
export interface Asked extends Question {
	readonly place: string;
	readonly afterSeconds: number | null;
}

export const placeOf = ({ environment, rollout }: Pick<Question, "environment" | "rollout">): string =>
	INDEXES.outcomes(environment, rollout);

/** Edges' clocks and control's may differ by so much; an index holds nothing older than its rollout anyway. */
const SKEW_SECONDS = 600;

const startOf = (asked: readonly Asked[]): number =>
	Math.max(0, Math.floor(Math.min(...asked.map(({ startedAtMs }) => startedAtMs)) / 1_000) - SKEW_SECONDS);

const atPlaces = (asked: readonly Asked[]): string =>
	oneOf(
		C.index,
		asked.map(({ place }) => place),
	);

/** Outcomes of the rollouts asked for, up to the watermark. An index may be a flag's as well, hence the arms. */
export function outcomes(asked: readonly Asked[], upTo: number, where = atPlaces(asked), arms: readonly string[] = EVIDENCE_ARMS): string {
	return [
		`${C.kind} = ${text(KINDS.outcome)}`,
		oneOf(C.arm, arms),
		where,
		`timestamp >= ${instant(startOf(asked))}`,
		`timestamp <= ${instant(upTo)}`,
	].join(" AND ");
}

/**
 * A condition on each rollout by what is known of it. Those of which the same is known share one; most of them usually do, and
 * these are not listed: they are the rollouts of the query that the lists of the others do not have.
 */
export function byKnown<K>(
	asked: readonly Asked[],
	place: string,
	known: (each: Asked) => K,
	condition: (known: K) => string | undefined,
): string {
	const groups = [...Map.groupBy(asked, known)].sort(([, a], [, b]) => b.length - a.length);
	const [most, ...others] = groups.map(([value, members]) => ({ value, places: members.map((each) => each.place) }));
	const both = (here: string | undefined, where: string | undefined): string =>
		[here, where].filter((each) => each !== undefined).join(" AND ") || "true";
	const listed = others.flatMap(({ places }) => places);
	return anyOf([
		...(most ? [both(listed.length > 0 ? noneOf(place, listed) : undefined, condition(most.value))] : []),
		...others.map(({ value, places }) => both(oneOf(place, places), condition(value))),
	]);
}

/** What came after a rollout's own watermark. */
const sinceWatermark = (asked: readonly Asked[], place: string, column: string): string =>
	byKnown(
		asked,
		place,
		({ afterSeconds }) => afterSeconds,
		(after) => (after === null ? undefined : `${column} > ${instant(after)}`),
	);

/** Outcomes of each rollout's current stage. */
const ofStage = (asked: readonly Asked[]): string =>
	byKnown(
		asked,
		C.index,
		({ stage }) => stage,
		(stage) => `${C.stage} = ${text(String(stage))}`,
	);

export function totals(from: string, asked: readonly Asked[], upTo: number): string {
	const [ring, byRing] = haveRings(asked) ? [`${C.ring} AS ring, `, ", ring"] : ["", ""];
	return `SELECT ${C.index} AS place, ${C.metric} AS metric, ${C.arm} AS arm, ${ring}sum(_sample_interval) AS requests, sum(_sample_interval * ${C.value}) AS total
FROM ${from}
WHERE ${outcomes(asked, upTo, atPlaces(asked), [...EVIDENCE_ARMS, "unattributed"])} AND ${sinceWatermark(asked, C.index, "timestamp")}
GROUP BY place, metric, arm${byRing}
${FORMAT}`;
}

/** ln of a value; zero and what is below has that of the least value. */
export const LOG = `log(if(${C.value} < ${double(LOG_VALUE_MIN)}, ${double(LOG_VALUE_MIN)}, ${C.value}))`;

/**
 * By user first, then over users. The timestamp is in whole seconds, so a user's first request is any one of their first second.
 * How many are asked of a metric differs by rollout: every column of any slot in use is summed for all.
 */
export function userSums(from: string, asked: readonly Asked[], upTo: number): string {
	const signals = asked.flatMap((each) => each.signals);
	const slots = [...new Set(signals.map(({ slot }) => slot))].sort((a, b) => a - b);
	const ofUser = slots.flatMap((slot) => [`sum(${slotColumn(slot)}) AS y${slot}`, `argMin(${slotColumn(slot)}, timestamp) AS h${slot}`]);
	const ofSlot = slots.flatMap((slot) => [
		`countIf(y${slot} > 0) AS harmedUsers${slot}`,
		`sum(y${slot}) AS harms${slot}`,
		`sum(y${slot} * y${slot}) AS harmsSquared${slot}`,
		`sum(y${slot} * r) AS harmsTimesRequests${slot}`,
		`sum(h${slot}) AS harmedFirst${slot}`,
	]);
	const moments = (name: string, value: string): string[] => [`sum(${value}) AS ${name}`, `sum((${value}) * (${value})) AS ${name}Squared`];
	const sums = [
		"count() AS users",
		...moments("requests", "r"),
		...moments("means", "v / r"),
		...moments("totals", "v"),
		...moments("logs", "l / r"),
	];
	// A user who changes rings is one of each.
	const keys = ["place", "metric", "arm", ...(haveRings(asked) ? ["ring"] : [])].join(", ");
	return `SELECT ${keys}, ${[...sums, ...ofSlot].join(", ")}
FROM (
	SELECT ${C.index} AS place, ${C.metric} AS metric, ${C.arm} AS arm, ${haveRings(asked) ? `${C.ring} AS ring, ` : ""}${C.unit} AS who, ${["count() AS r", `sum(${C.value}) AS v`, `sum(${LOG}) AS l`, ...ofUser].join(", ")}
	FROM ${from}
	WHERE ${outcomes(asked, upTo)} AND ${oneOf(C.metric, new Set(signals.map(({ metric }) => metric)))} AND ${ofStage(asked)}
	GROUP BY ${keys}, who
)
GROUP BY ${keys}
${FORMAT}`;
}

/** Every user's first request since the rollout's start, then those whose first was in the window. */
export function firstExposures(from: string, asked: readonly Asked[], upTo: number): string {
	return `SELECT place, arm, served, count() AS units
FROM (
	SELECT ${C.index} AS place, ${C.unit} AS who, min(timestamp) AS since, argMin(${C.arm}, timestamp) AS arm, argMin(${C.served}, timestamp) AS served
	FROM ${from}
	WHERE ${outcomes(asked, upTo)}
	GROUP BY place, who
)
WHERE ${sinceWatermark(asked, "place", "since")}
GROUP BY place, arm, served
${FORMAT}`;
}

const haveRings = (asked: readonly Asked[]): boolean => asked.some(({ rings }) => rings !== undefined);

const quantile = (of: number, name = "p", weight = "_sample_interval"): string =>
	`quantileExactWeighted(${number(of)})(${C.value}, ${weight}) AS ${name}${Math.round(of * 100)}`;

/** Of requests that users of the newest ring made; the others weigh nothing. */
function ofNewest(asked: readonly Asked[]): string[] {
	const isOfNewest = byKnown(
		asked,
		C.index,
		({ rings }) => rings?.newest ?? null,
		(newest) => (newest === null ? "false" : `${C.ring} = ${text(String(newest))}`),
	);
	const weight = `if(${isOfNewest}, _sample_interval, 0)`;
	return [`countIf(${isOfNewest}) AS newest`, ...QUANTILES.map((each) => quantile(each, "n", weight))];
}

export function quantiles(from: string, asked: readonly Asked[], upTo: number): string {
	const columns = [...QUANTILES.map((each) => quantile(each)), ...(haveRings(asked) ? ofNewest(asked) : [])];
	return `SELECT ${C.index} AS place, ${C.metric} AS metric, ${C.arm} AS arm, ${columns.join(", ")}
FROM ${from}
WHERE ${outcomes(asked, upTo)} AND ${ofStage(asked)}
GROUP BY place, metric, arm
${FORMAT}`;
}

/** From (inclusive) to (exclusive), by arrival: adjacent windows neither overlap nor leave a gap. */
const between = (fromMs: number, toMs: number): string =>
	`timestamp >= ${instant(secondFrom(fromMs))} AND timestamp < ${instant(secondFrom(toMs))}`;

const secondFrom = (ms: number): number => Math.max(0, Math.ceil(ms / 1_000));

const PERFORMANCE = `sum(_sample_interval) AS requests, sum(_sample_interval * ${C.value}) AS total, ${[0.5, 0.95, 0.99].map((each) => quantile(each)).join(", ")}`;

/** What each flag served, an event once for each of its flags; unattributed points name none. */
export function performanceByFlag(from: string, environment: string, fromMs: number, toMs: number): string {
	return `SELECT ${C.flag} AS flag, ${C.variant} AS variant, ${C.metric} AS metric, ${PERFORMANCE}
FROM ${from}
WHERE ${C.kind} = ${text(KINDS.outcome)} AND ${C.environment} = ${text(environment)} AND ${C.flag} <> '' AND ${between(fromMs, toMs)}
GROUP BY flag, variant, metric
${FORMAT}`;
}

/** The whole environment, each event once. */
export function performance(from: string, environment: string, fromMs: number, toMs: number): string {
	return `SELECT ${C.metric} AS metric, ${PERFORMANCE}
FROM ${from}
WHERE ${C.kind} = ${text(KINDS.outcome)} AND ${C.environment} = ${text(environment)} AND ${C.first} = 1 AND ${between(fromMs, toMs)}
GROUP BY metric
${FORMAT}`;
}

export function system(from: string, environment: string, fromMs: number): string {
	return `SELECT ${C.unit} AS origin, ${C.metric} AS metric, sum(_sample_interval) AS samples, sum(_sample_interval * ${C.value}) AS total,
	max(${C.value}) AS highest, argMax(${C.value}, timestamp) AS latest, toUnixTimestamp(max(timestamp)) AS latestAt
FROM ${from}
WHERE ${C.kind} = ${text(KINDS.system)} AND ${C.index} = ${text(INDEXES.system(environment))} AND timestamp >= ${instant(secondFrom(fromMs))}
GROUP BY origin, metric
${FORMAT}`;
}

/** Whom a signal saw harmed in (after, upTo], each once, the earliest first. Never weighted: a row is a user who was harmed. */
export function harms(from: string, after: number, upTo: number, limit: number): string {
	return `SELECT ${C.rollout} AS rollout, ${C.signal} AS signal, ${C.unit} AS who, ${C.arm} AS arm, ${C.served} AS served, ${C.ring} AS ring, toUnixTimestamp(min(timestamp)) AS since
FROM ${from}
WHERE ${C.kind} = ${text(KINDS.harm)} AND ${oneOf(C.arm, EVIDENCE_ARMS)} AND timestamp > ${instant(after)} AND timestamp <= ${instant(upTo)}
GROUP BY rollout, signal, who, arm, served, ring
ORDER BY since
LIMIT ${number(limit)}
${FORMAT}`;
}
