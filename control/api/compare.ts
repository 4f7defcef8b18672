import { createRoute, z } from "@hono/zod-openapi";
import { environmentName, flagKey } from "../../core/flags/model";
import {
	COMPARED_KINDS,
	type ComparedDay,
	type ComparedKind,
	dayOf,
	listCompared,
	readDay,
	subjectOf,
	wasCompared,
} from "../store/compared";
import type { Database } from "../store/database";
import { getFlagVersion } from "../store/flags";
import { findRoute } from "../store/gateway";
import { json, refusals, resource } from "./context";
import { refuse } from "./refusals";

const day = z
	.string()
	.refine((text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)) && dayOf(Date.parse(text)) === text, {
		message: "takes a day, as in 2026-01-31",
	});
const count = z.int();

const kind = z.enum(COMPARED_KINDS);

const subject = z.object({
	subject: z.string().describe("a route's key, or that of a flag whose application compares"),
	kind,
	total_queries: count,
	discrepancies: count,
	errors: count,
	legacy_ms: z.number().nullable().describe("mean, of those with both latencies"),
	new_ms: z.number().nullable(),
	last_date: z.string(),
});

const report = z.object({
	phase: z.string().nullable().describe("of the rollout, as last seen that day; null: none was"),
	date: z.string(),
	total_queries: count,
	discrepancies: count,
	errors: count.describe("the candidate gave no answer that could be compared"),
	status: z.enum(["match", "discrepancies", "errors", "no_data"]),
	samples: z.array(
		z.object({
			input: z.string(),
			legacy_result: z.string(),
			new_result: z.string(),
			match: z.boolean().describe("only what differs is kept"),
		}),
	),
});

export const comparisons = resource();

comparisons.openapi(
	createRoute({
		method: "get",
		path: "/",
		summary: "What was compared in the last 7 days, by route or flag",
		request: { query: z.strictObject({ environment: environmentName }) },
		responses: {
			200: { description: "those with the most discrepancies first", ...json(z.object({ subjects: z.array(subject) })) },
			...refusals(401, 422),
		},
	}),
	async (c) => {
		const found = await listCompared(c.get("deps").db, c.req.valid("query").environment, c.get("now"));
		const mean = (sum: number, timed: number): number | null => (timed === 0 ? null : sum / timed);
		const subjects = found.map(({ key, kind: of, queries, discrepancies, errors, legacyMs, candidateMs, timed, lastDay }) => ({
			subject: key,
			kind: of,
			total_queries: queries,
			discrepancies,
			errors,
			legacy_ms: mean(legacyMs, timed),
			new_ms: mean(candidateMs, timed),
			last_date: lastDay,
		}));
		return c.json({ subjects }, 200);
	},
);

comparisons.openapi(
	createRoute({
		method: "get",
		path: "/{subject}/report",
		summary: "What comparing found on one day (UTC), with up to 100 samples of what differs",
		request: {
			params: z.object({ subject: flagKey }),
			query: z.strictObject({
				environment: environmentName,
				date: day.optional().describe("default: today"),
				kind: kind
					.optional()
					.describe("where a route and a flag have this key; default: the one that was compared that day, the route before the flag"),
			}),
		},
		responses: { 200: { description: "the day", ...json(report) }, ...refusals(401, 404, 422) },
	}),
	async (c) => {
		const { db } = c.get("deps");
		const { environment, date = dayOf(c.get("now")), kind: only } = c.req.valid("query");
		const { subject: key } = c.req.valid("param");
		const kinds = only ? [only] : COMPARED_KINDS;
		const days = await Promise.all(kinds.map((each) => readDay(db, environment, subjectOf(each, key), date)));
		const { counted, samples } = days.find((each) => each.counted) ?? { counted: undefined, samples: [] };
		if (!counted && !(await isKnown(db, environment, key, kinds)))
			refuse({ kind: "not_found", what: `${kinds.join(" or ")} ${key} in ${environment}` });
		const { phase = "", queries = 0, discrepancies = 0, errors = 0 } = counted ?? {};
		return c.json(
			{
				phase: phase === "" ? null : phase,
				date,
				total_queries: queries,
				discrepancies,
				errors,
				status: statusOf(counted),
				samples: samples.map(({ input, legacy, candidate }) => ({ input, legacy_result: legacy, new_result: candidate, match: false })),
			},
			200,
		);
	},
);

/** An answer that differs says more than one that is missing. */
function statusOf(counted: ComparedDay | undefined): z.infer<typeof report>["status"] {
	if (!counted || counted.queries === 0) return "no_data";
	if (counted.discrepancies > 0) return "discrepancies";
	return counted.errors > 0 ? "errors" : "match";
}

/** A route or a flag that was deleted since is known by what was counted. */
async function isKnown(db: Database, environment: string, key: string, kinds: readonly ComparedKind[]): Promise<boolean> {
	const known = await Promise.all(
		kinds.map(async (each) => {
			const found = each === "route" ? await findRoute(db, environment, key) : await getFlagVersion(db, environment, key);
			return found !== undefined || wasCompared(db, environment, subjectOf(each, key));
		}),
	);
	return known.includes(true);
}
