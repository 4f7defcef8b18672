import * as z from "zod";
import { takes, takesShape } from "../flags/fieldErrors";
import { type FieldError, flagKey } from "../flags/model";
import { type Aggregate, parseCriterion } from "../health/criteria";
import type { MetricDefinition } from "../metric";
import { durationField } from "./duration";
import { JSON_PATH } from "./jsonPath";
import { parseReading } from "./reading";

/** What is looked at before users are served, and while they are: the authoring form. */

const CHECKS_MAX = 20;
/** All of them, side by side. */
export const CHECKS_LIMIT_MS = 5 * 60_000;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

export const checkName = flagKey;

const STATUS = "takes a status, 200 to 599";
const answerStatus = z
	.int(STATUS)
	.min(200, STATUS)
	.max(599, STATUS)
	.refine((code) => code < 300 || code > 399, "a redirect is never followed, and always a failure");
const scalar = z.union([z.string().max(200), z.number(), z.boolean(), z.null()], takes("a text, a number, true, false or null"));

/** As in flags: `z.strictObject` refuses unknown fields, as requests are read; `z.object` drops them, as stored rows are. */
function kindsBy(object: typeof z.strictObject) {
	const common = {
		name: checkName,
		timeout: durationField(100, MINUTE_MS).default("10s").describe("of each try"),
		retries: z.int().min(0).max(5).default(2).describe("tries after the first one, where that may help"),
		critical: z.boolean().default(true).describe("whether its failure holds; otherwise it is a warning"),
	};
	const when = z.enum(["before", "during", "both"]).optional().describe("default: before the first phase, with `every` both");
	const repeated = {
		...common,
		when,
		every: durationField(MINUTE_MS, 7 * DAY_MS)
			.optional()
			.describe("repeats it during a phase"),
	};
	const criterion = z.string().max(200);
	return {
		http: object({
			...repeated,
			http: z
				.string()
				.max(2_000)
				.regex(/^https?:\/\/[^\s/?#]\S*$/i, "takes a URL, as in https://origin.example/health"),
			method: z.enum(["GET", "POST"], takes("GET or POST")).default("GET").describe("POST sends {rollout, phase, percent}"),
			expect: z.union([answerStatus, z.array(answerStatus).min(1).max(20)], takes("a status, or a list of them")).default(200),
			json: object({
				path: z.string().max(200).regex(JSON_PATH, 'takes names and places, as in "$.parts[0].status"'),
				equals: scalar,
			}).optional(),
			latency: durationField(1, MINUTE_MS).optional().describe("the answer begins within it"),
		}),
		metric: object({
			...repeated,
			metric: criterion.describe('what must hold in the whole environment, as in "error_rate < 3%"'),
			over: durationField(MINUTE_MS, 7 * DAY_MS).default("15m"),
		}),
		dependency: object({
			...repeated,
			dependency: z
				.string()
				.regex(/^[A-Za-z0-9._:-]{1,63}$/, "takes the name by which an origin reports")
				.describe("an origin that must have reported"),
			metric: criterion.optional().describe('and what must hold of it, as in "cpu_percent mean < 80"'),
			fresh: durationField(MINUTE_MS, DAY_MS).default("10m"),
		}),
		hygiene: object({
			...repeated,
			critical: common.critical.unwrap().default(false),
			hygiene: z
				.union(
					[
						z.literal(true),
						object({ owner: z.boolean().default(false), description: z.boolean().default(false), expired: z.boolean().default(false) }),
					],
					takes("true, or {owner, description, expired}"),
				)
				.describe("the flags are there, enabled, and have an owner, a description and no expiry that has passed"),
		}),
		reported: object({
			...repeated,
			reported: checkName.describe("the name under which somebody posts the result"),
			stale: durationField(MINUTE_MS, 30 * DAY_MS).default("24h"),
		}),
		manual: object({ ...common, when, manual: z.string().min(1).max(500).describe("what a person confirms") }),
	};
}

const KINDS = ["http", "metric", "dependency", "hygiene", "reported", "manual"] as const;
const ONE_OF = `takes one of ${KINDS.join(", ")}`;

/** A union tells what is wrong with the kind that was meant, unless none was, or several. */
const oneKind = {
	error: ({ input }: { readonly input?: unknown }): string | undefined => {
		if (typeof input !== "object" || input === null || Array.isArray(input)) return "takes a check: {name, http: …}";
		const named = KINDS.filter((kind) => Object.hasOwn(input, kind) && !(kind === "metric" && Object.hasOwn(input, "dependency")));
		return named.length === 1 ? undefined : ONE_OF;
	},
};

const given = kindsBy(z.strictObject);
const kept = kindsBy(z.object);

const check = z.union([given.http, given.metric, given.dependency, given.hygiene, given.reported, given.manual], oneKind);
/** A dependency's metric alone would be another check, so dependencies are tried first. */
const storedCheck = z.union([kept.http, kept.dependency, kept.metric, kept.hygiene, kept.reported, kept.manual]);

/** Of a plan or a phase. */
export const checks = z.array(check, takesShape("a list of checks: [{name: smoke, http: https://…}]")).max(CHECKS_MAX);
/** As stored: a field that this version does not know is dropped. */
export const storedChecks = z.array(storedCheck).max(CHECKS_MAX);

export type Check = z.infer<typeof check>;
type Kinds = typeof given;
export type CheckOf<K extends keyof Kinds> = z.infer<Kinds[K]>;

export type Moment = "before" | "during";

export function isFor({ when, ...rest }: Check, moment: Moment): boolean {
	const meant = when ?? ("every" in rest && rest.every !== undefined ? "both" : "before");
	return meant === "both" || meant === moment;
}

/** What the metrics' sources tell of a whole environment. */
const TOLD: readonly Aggregate[] = ["rate", "mean", "p50", "p95", "p99"];

/**
 * What the schema of single fields cannot say. `pointer` is where the list stands in a plan; `others` are the plan's other
 * checks before it, whose names are taken.
 */
export function checkErrors(
	list: readonly Check[],
	metrics: ReadonlyMap<string, MetricDefinition>,
	pointer = "",
	others: readonly Check[] = [],
): FieldError[] {
	const errors: FieldError[] = [];
	const taken = new Set(others.map(({ name }) => name));
	list.forEach((each, i) => {
		const refuse = (field: string, message: string): unknown => errors.push({ pointer: `${pointer}/${i}/${field}`, message });
		if (taken.has(each.name)) refuse("name", `"${each.name}" is used twice`);
		taken.add(each.name);
		if ("every" in each && each.every !== undefined && each.when === "before")
			refuse("when", "what repeats does so during phases: leave `when` out, or take `every` away");
		if ("dependency" in each) {
			const read = each.metric === undefined ? undefined : parseReading(each.metric);
			if (read && !read.ok) refuse("metric", read.error);
		} else if ("metric" in each) {
			const parsed = parseCriterion(each.metric, "criterion", metrics);
			if (!parsed.ok) refuse("metric", `${parsed.error.message} (at character ${parsed.error.position + 1})`);
			else if (!TOLD.includes(parsed.value.aggregate))
				refuse("metric", `${parsed.value.aggregate} is not known of a whole environment: take ${TOLD.join(", ")}`);
		}
	});
	return errors;
}
