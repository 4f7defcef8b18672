import { C, LOG, type Asked, byKnown, outcomes } from "./analyticsEngineQueries";
import type { AskedScore } from "./source";
import { anyOf, choose, double, instant, oneOf } from "./sql";

/**
 * A user is scored once, when the tenth request has arrived or an hour after the first, by all their requests so far. Each
 * rollout has its own center and spread: a choice by rollout and metric that is nested by halves, so one query serves all of
 * them, and its answer has a row for each step of the score, however many users there are.
 *
 * Only users of whom every row is there are scored. Analytics Engine may show a busy dataset at a lower resolution for one query
 * and not for the next; a user who seemed to have nine requests and then ten again would be scored twice, and this evidence can
 * roll back.
 */

const REQUESTS = 10;
const AFTER_SECONDS = 3_600;
/** Values that are all the same have no spread, and whatever differs from them is far away. */
const SPREAD_MIN = 1e-9;
/** Steps from 0 to 1. */
export const STEPS = 20;

/** The guards that score a metric in one rollout, in the order of its question: the nth is the query's nth score. */
export const scoresOf = ({ scores }: Pick<Asked, "scores">, metric: string): readonly AskedScore[] =>
	scores.filter((each) => each.metric === metric);

const metricsOf = ({ scores }: Asked): string[] => [...new Set(scores.map(({ metric }) => metric))];

/** `asked`: those that score anything. */
export function scored(from: string, asked: readonly Asked[], upTo: number): string {
	const count = Math.max(...asked.flatMap((each) => metricsOf(each).map((metric) => scoresOf(each, metric).length)));
	const nth = Array.from({ length: count }, (_, n) => n);
	return `SELECT place, metric, arm, served, ${nth.map((n) => `${stepsOf(`z${n}`)} AS score${n}`).join(", ")}, count() AS units
FROM (
	SELECT place, metric, arm, served, ${nth.map((n) => `${distance(asked, n)} AS z${n}`).join(", ")}
	FROM (
		SELECT ${C.index} AS place, ${C.metric} AS metric, ${C.unit} AS who, count() AS r, ${readBefore(asked)} AS before, min(timestamp) AS since,
			max(_sample_interval) AS sampled, avg(${LOG}) AS l, argMin(${C.arm}, timestamp) AS arm, argMin(${C.served}, timestamp) AS served
		FROM ${from}
		WHERE ${outcomes(asked, upTo, ofMetrics(asked))} AND ${C.scored} = 1
		GROUP BY place, metric, who
	)
	WHERE sampled = 1 AND (r >= ${REQUESTS} OR since <= ${anHourBefore(upTo)}) AND ${wasNotScored(asked)}
)
GROUP BY ${["place", "metric", "arm", "served", ...nth.map((n) => `score${n}`)].join(", ")}
FORMAT JSON`;
}

function ofMetrics(asked: readonly Asked[]): string {
	const metrics = [...new Set(asked.flatMap(metricsOf))];
	return anyOf(
		metrics.map((metric) => {
			const places = asked.filter((each) => metricsOf(each).includes(metric)).map(({ place }) => place);
			return `${oneOf(C.metric, [metric])} AND ${oneOf(C.index, places)}`;
		}),
	);
}

const anHourBefore = (seconds: number): string => instant(Math.max(0, seconds - AFTER_SECONDS));

/** How many of the user's requests had arrived when the rollout was read last. */
const readBefore = (asked: readonly Asked[]): string =>
	`countIf(${byKnown(
		asked,
		C.index,
		({ afterSeconds }) => afterSeconds,
		(after) => (after === null ? "false" : `timestamp <= ${instant(after)}`),
	)})`;

const wasNotScored = (asked: readonly Asked[]): string =>
	byKnown(
		asked,
		"place",
		({ afterSeconds }) => afterSeconds,
		(after) => (after === null ? undefined : `before < ${REQUESTS} AND since > ${anHourBefore(after)}`),
	);

/** How far the user's mean lies from the control's, in units of two spreads, not yet clipped. */
function distance(asked: readonly Asked[], n: number): string {
	const leaf = (score: AskedScore | undefined): string => {
		if (!score) return "0.0";
		const { center, spread, shift } = score;
		return `(l - ${fine(center)} - if(arm = 'candidate', ${fine(shift)}, 0.0)) / ${double(2 * Math.max(spread, SPREAD_MIN))}`;
	};
	const branches = asked.map((each) => ({
		value: each.place,
		expression: choose(
			"metric",
			metricsOf(each).map((metric) => ({ value: metric, expression: leaf(scoresOf(each, metric)[n]) })),
		),
	}));
	return choose("place", branches);
}

/** A logarithm, as finely as anyone can tell. */
const fine = (value: number): string => double(Number(value.toFixed(12)));

/** Whole steps, towards 0, from −20 to 20. */
function stepsOf(z: string): string {
	const end = double(STEPS);
	return `if(${z} >= 1, ${end}, if(${z} <= (-1), ${double(-STEPS)}, if(${z} < 0, ceil(${z} * ${end}), floor(${z} * ${end}))))`;
}
