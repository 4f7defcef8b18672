import fc from "fast-check";
import * as queries from "../../../control/metrics/analyticsEngineQueries";
import type { Asked } from "../../../control/metrics/analyticsEngineQueries";
import { scored } from "../../../control/metrics/analyticsEngineScores";

/** What is hostile in a name, whether or not a key may be it. */
export const HOSTILE = [
	"'",
	"''",
	"\\",
	"\\'",
	"\\\\'",
	"'\\",
	"'); DROP TABLE x; --",
	"' OR 1 = 1 --",
	'"',
	"`",
	"a\nb\r\nc\td",
	"\0",
	"a\0b",
	"\\0",
	"\\n",
	"/* a comment",
	"{}[]()$?:%_",
	"Ännchen 🌊 \u202e\u2028",
	"\ud800",
	"",
	" ",
	"'\\".repeat(5_000),
];

export const UP_TO = 1_800_000_000;

export const anAsked = (change: Partial<Asked> = {}): Asked => ({
	environment: "production",
	rollout: "checkout.1",
	place: "production/checkout.1",
	stage: 1,
	startedAtMs: (UP_TO - 3_600) * 1_000,
	after: null,
	afterSeconds: null,
	signals: [{ key: "error", metric: "error", slot: 0 }],
	scores: [],
	...change,
});

/** Questions as different from each other as they may be: in stage, watermark, signals and scores, with names of any characters. */
export const arbitraryAsked: fc.Arbitrary<Asked[]> = fc
	.array(
		fc.record({
			name: fc.oneof(fc.constantFrom(...HOSTILE), fc.string()),
			stage: fc.nat(40),
			startedAtMs: fc.integer({ min: 0, max: UP_TO * 1_000 }),
			afterSeconds: fc.option(fc.integer({ min: 0, max: UP_TO })),
			signals: fc.array(fc.record({ key: fc.string(), metric: fc.constantFrom("error", "latency_ms", ...HOSTILE), slot: fc.nat(15) }), {
				minLength: 1,
				maxLength: 4,
			}),
			scores: fc.array(
				fc.record({
					signal: fc.string(),
					metric: fc.constantFrom("latency_ms", "a'b\\"),
					center: fc.double({ min: -7, max: 28, noNaN: true }),
					spread: fc.double({ min: 1e-9, max: 10, noNaN: true }),
					shift: fc.double({ min: 0, max: 3, noNaN: true }),
				}),
				{ maxLength: 3 },
			),
			rings: fc.constantFrom(undefined, { count: 2, newest: 1 }, { count: 50, newest: 50 }, { count: 2, newest: null }),
		}),
		{ minLength: 1, maxLength: 12 },
	)
	.map((all) =>
		all.map(({ name, rings, ...each }, i) => {
			const rollout = `${name}.${i}`;
			return { ...each, ...(rings ? { rings } : {}), environment: "production", rollout, place: `production/${rollout}`, after: null };
		}),
	);

/** Every query that the reader can ask of these. */
export function everyQuery(asked: readonly Asked[], environment = "production", from = "tidegate"): string[] {
	const scoring = asked.filter(({ scores }) => scores.length > 0);
	return [
		queries.totals(from, asked, UP_TO),
		queries.userSums(from, asked, UP_TO),
		queries.firstExposures(from, asked, UP_TO),
		queries.quantiles(from, asked, UP_TO),
		...(scoring.length > 0 ? [scored(from, scoring, UP_TO)] : []),
		queries.performance(from, environment, 0, UP_TO * 1_000),
		queries.performanceByFlag(from, environment, 0, UP_TO * 1_000),
		queries.system(from, environment, 1),
		queries.harms(from, 0, UP_TO, 50_000),
	];
}
