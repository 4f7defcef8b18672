import type { ArmQuantiles, ArmSums, FirstExposures, Scored, WindowTotal } from "../../core/health/observation";
import { unscopedMetric } from "../../core/metric";
import type { Query, Row } from "./analyticsEngineApi";
import { HARMS_MAX, armOf, copyHarms, ringOf } from "./analyticsEngineHarms";
import * as queries from "./analyticsEngineQueries";
import { type Asked, placeOf } from "./analyticsEngineQueries";
import { STEPS, scored, scoresOf } from "./analyticsEngineScores";
import { closeEpoch, firstHarms } from "./firstHarms";
import { sumOf, withNewest } from "./rings";
import type { MetricsSource, Of, Performance, Question } from "./source";
import { dataset } from "./sql";

/** How long a point takes until it can be read is not documented, and unverified. */
const DELAY_MS = 120_000;

/** ClickHouse reads 256 KiB; what the SQL API takes is unverified. A thousand rollouts with keys of the usual length fit. */
const QUERY_LENGTH_MAX = 240_000;

/**
 * Analytics Engine as the source of the judge's numbers, with the harmed users in D1. A watermark is "<second>s/<epoch>": up to
 * where outcomes are read, and up to where the harm in D1 is. Timestamps are whole seconds, so a window holds whole seconds:
 * (after, upTo], and no point of the second `upTo` can still come, for it ended two minutes ago.
 */
export function analyticsEngine(db: D1Database, query: Query, datasetName: string, harmsMax: number = HARMS_MAX): MetricsSource {
	const from = dataset(datasetName);

	/** One query for all rollouts, as long as it is short enough; each row with the question of its rollout. */
	async function ask<T>(
		questions: readonly Question[],
		upTo: string,
		sql: (from: string, asked: readonly Asked[], upTo: number) => string,
		answers: (row: Row, question: Asked) => readonly T[],
	): Promise<Of<T>[]> {
		if (questions.length === 0) return [];
		const asked = questions.map((each) => ({ ...each, place: placeOf(each), afterSeconds: read(each.after).seconds }));
		const written = sql(from, asked, read(upTo).seconds ?? 0);
		if (written.length > QUERY_LENGTH_MAX && asked.length > 1) {
			const half = asked.length >> 1;
			const parts = [questions.slice(0, half), questions.slice(half)];
			return (await Promise.all(parts.map((part) => ask(part, upTo, sql, answers)))).flat();
		}
		const byPlace = new Map(asked.map((each) => [each.place, each]));
		return (await query(written)).flatMap((row) => {
			const question = byPlace.get(row.text("place"));
			return question ? answers(row, question).map((answer) => ({ rollout: question.rollout, ...answer })) : [];
		});
	}

	return {
		async watermark(nowMs) {
			const upTo = Math.max(0, Math.floor((nowMs - DELAY_MS) / 1_000));
			await copyHarms({ db, query, from, limit: harmsMax }, upTo);
			const { epoch } = await closeEpoch(db, nowMs);
			return `${upTo}s/${epoch}`;
		},
		totals: (questions, upTo) => ask(questions, upTo, queries.totals, (row, question) => [totalOf(row, question)]),
		firstHarms: async (questions, upTo) => {
			const asked = questions.map(({ rollout, after }) => ({ rollout, afterEpoch: read(after).epoch }));
			return asked.length === 0 ? [] : firstHarms(db, asked, read(upTo).epoch);
		},
		async userSums(questions, upTo) {
			const asked = questions.filter(({ signals }) => signals.length > 0);
			return withNewest(await ask(asked, upTo, queries.userSums, armSums), asked, ({ signal, arm }) => [signal, arm], sumOf);
		},
		firstExposures: (questions, upTo) => ask(questions, upTo, queries.firstExposures, (row) => [exposuresOf(row)]),
		async scored(questions, upTo) {
			const scoring = questions.filter(({ scores }) => scores.length > 0);
			return merged(await ask(scoring, upTo, scored, scoredOf));
		},
		quantiles: (questions, upTo) => ask(questions, upTo, queries.quantiles, quantilesOf),
		async performance(environment, fromMs, toMs) {
			const [flags, whole] = await Promise.all([
				query(queries.performanceByFlag(from, environment, fromMs, toMs)),
				query(queries.performance(from, environment, fromMs, toMs)),
			]);
			// What is counted for a flag's guards was counted already.
			const counted = flags.filter((row) => unscopedMetric(row.text("metric")) === row.text("metric"));
			return [
				...counted.map((row) => performanceOf(row, row.text("flag"), row.text("variant"))),
				...whole.map((row) => performanceOf(row, "", "")),
			];
		},
		async system(environment, fromMs) {
			const rows = await query(queries.system(from, environment, fromMs));
			return rows.map((row) => ({
				origin: row.text("origin"),
				metric: row.text("metric"),
				samples: row.number("samples"),
				mean: row.number("total") / row.number("samples"),
				max: row.number("highest"),
				last: row.number("latest"),
				lastAtMs: row.number("latestAt") * 1_000,
			}));
		},
	};
}

/**
 * The embedded store's watermarks, "<epoch>" or "<epoch>/<epoch>", are epochs of the same D1: a rollout that was begun there loses
 * and repeats no harm here, and its outcomes here are read from its start.
 */
function read(watermark: string | null): { readonly seconds: number | null; readonly epoch: number } {
	if (watermark === null) return { seconds: null, epoch: 0 };
	const own = /^(\d{1,12})s\/(\d{1,15})$/.exec(watermark);
	if (own) return { seconds: Number(own[1]), epoch: Number(own[2]) };
	const embedded = /^(\d{1,15})(?:\/\d{1,15})?$/.exec(watermark);
	if (embedded) return { seconds: null, epoch: Number(embedded[1]) };
	throw new Error(`"${watermark}" is no watermark of this store`);
}

function totalOf(row: Row, { rings }: Question): WindowTotal {
	const arm = row.text("arm") === "unattributed" ? "unattributed" : armOf(row);
	return { metric: row.text("metric"), arm, requests: row.number("requests"), sum: row.number("total"), ...(rings ? ringOf(row) : {}) };
}

function armSums(row: Row, { signals, rings }: Question): ArmSums[] {
	const metric = row.text("metric");
	const users = row.number("users");
	const sums = (name: string): ArmSums["means"] => ({
		users,
		sumOfMeans: row.number(name),
		sumOfSquaredMeans: row.number(`${name}Squared`),
	});
	return signals
		.filter((signal) => signal.metric === metric)
		.map(({ key, slot }) => ({
			...(rings ? ringOf(row) : {}),
			signal: key,
			metric,
			arm: armOf(row),
			users: {
				users,
				harmedUsers: row.number(`harmedUsers${slot}`),
				requests: row.number("requests"),
				harms: row.number(`harms${slot}`),
				harmsSquared: row.number(`harmsSquared${slot}`),
				harmsTimesRequests: row.number(`harmsTimesRequests${slot}`),
				requestsSquared: row.number("requestsSquared"),
			},
			harmedFirst: row.number(`harmedFirst${slot}`),
			means: sums("means"),
			totals: sums("totals"),
			logs: sums("logs"),
		}));
}

function exposuresOf(row: Row): FirstExposures {
	return { arm: armOf(row), served: row.number("served"), units: row.number("units") };
}

function scoredOf(row: Row, question: Asked): Scored[] {
	return scoresOf(question, row.text("metric")).map(({ signal }, n) => ({
		signal,
		arm: armOf(row),
		served: row.number("served"),
		// + 0: minus zero is another row there, and the same score.
		score: row.number(`score${n}`) / STEPS + 0,
		units: row.number("units"),
	}));
}

/** A row tells several guards' scores of the same users: added up for each guard. */
function merged(rows: readonly Of<Scored>[]): Of<Scored>[] {
	const groups = Map.groupBy(rows, ({ rollout, signal, arm, served, score }) => JSON.stringify([rollout, signal, arm, served, score]));
	return [...groups.values()].flatMap((group) => {
		const [first] = group;
		return first ? [{ ...first, units: group.reduce((sum, { units }) => sum + units, 0) }] : [];
	});
}

function quantilesOf(row: Row, { rings }: Question): ArmQuantiles[] {
	const named = (name: string) => ({
		p50: row.number(`${name}50`),
		p75: row.number(`${name}75`),
		p90: row.number(`${name}90`),
		p95: row.number(`${name}95`),
		p99: row.number(`${name}99`),
	});
	const of = { metric: row.text("metric"), arm: armOf(row) };
	const all = { ...of, ...named("p") };
	return rings?.newest && row.number("newest") > 0 ? [all, { ...of, ring: rings.newest, ...named("n") }] : [all];
}

function performanceOf(row: Row, flag: string, variant: string): Performance {
	return {
		flag,
		variant,
		metric: row.text("metric"),
		requests: row.number("requests"),
		sum: row.number("total"),
		p50: row.number("p50"),
		p95: row.number("p95"),
		p99: row.number("p99"),
	};
}
