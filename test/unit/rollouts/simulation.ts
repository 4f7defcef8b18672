import type { AskedScore } from "../../../control/metrics/source";
import { bucketOf, seedOf } from "../../../core/flags/bucket";
import { isPercentile, signalKeyOf } from "../../../core/health/criteria";
import {
	type ArmQuantiles,
	type ArmSums,
	type Evidence,
	type FirstExposures,
	type FirstHarms,
	QUANTILES,
	type Scored,
} from "../../../core/health/observation";
import type { Signal } from "../../../core/health/signal";
import { signalsOf } from "../../../core/health/signals";
import { isHarm } from "../../../core/metric";
import { decide } from "../../../core/rollouts/decide";
import type { Change, Hold } from "../../../core/rollouts/decision";
import { type Plan, servedIn } from "../../../core/rollouts/plan";
import { criteriaIn } from "../../../core/rollouts/planCriteria";
import { type LiveState, type RolloutState, isLive } from "../../../core/rollouts/state";
import { FIRST_LAUNCH, started } from "../../../core/rollouts/transitions";
import { scoreOf } from "../../../core/statistics/score";
import { LOG_VALUE_MIN } from "../../../core/telemetry";
import { MINUTE_MS } from "./fixtures";

/** A seeded population under a rollout: what it reports reaches `decide` as a metrics store would tell it, once a minute. */

export interface Population {
	readonly seed: number;
	readonly users: number;
	/** Distinct users a minute, drawn anew each minute: from, to. */
	readonly visitors: readonly [number, number];
	/** Of each visitor. */
	readonly requests: number;
	/** Share of a visitor's requests that fail, by arm. Without, nobody says whether they do. */
	readonly errors?: { readonly candidate: number; readonly control: number };
	/** Without, no latencies are reported. */
	readonly latency?: Latency;
}

/** Lognormal: each user has a median of their own, and their requests scatter around it. */
export interface Latency {
	readonly medianMs: number;
	/** Of ln ms, over users and over a user's requests. */
	readonly spreadOfUsers: number;
	readonly spreadOfRequests: number;
	/** What the candidate makes of a latency. */
	readonly candidate: (ms: number, random: () => number) => number;
}

export interface Outcome {
	readonly status: RolloutState["status"];
	/** How many there were until it ended, or all. */
	readonly ticks: number;
	/** Buckets that were served the candidate when it ended. */
	readonly served: number;
	/** Why it ended, or what held it last. */
	readonly reason: string;
}

/** mulberry32 (Tommy Ettinger, public domain): 0 ≤ x < 1. */
export function randomOf(seed: number): () => number {
	let state = seed | 0;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let x = Math.imul(state ^ (state >>> 15), state | 1);
		x = (x + Math.imul(x ^ (x >>> 7), x | 61)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Box and Muller's: a standard normal number. */
function normalOf(random: () => number): number {
	return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

type Arm = "candidate" | "control";
const ARMS: readonly Arm[] = ["candidate", "control"];
type Counts<Key extends string> = Record<Key, number>;

/** What a store is asked for, and what edges know, from a tick on. */
export interface Asked {
	readonly stage: number;
	readonly minute: number;
	readonly signals: readonly Signal[];
	readonly scores: readonly AskedScore[];
}

/** As the tick asks. */
export function askedOf(plan: Plan, state: LiveState, minute: number): Asked {
	const scores = criteriaIn(plan).guards.flatMap((guard, i): AskedScore[] => {
		const frozen = state.watch.guards[i]?.frozen;
		if (!frozen || !isPercentile(guard.aggregate)) return [];
		const { center, spread } = frozen;
		return [{ signal: signalKeyOf(guard), metric: guard.metric, center, spread, shift: Math.log(1 + guard.margin) }];
	});
	return { stage: state.stage, minute, signals: signalsOf(plan, state), scores };
}

/** Counts as every metrics store must: by user, harm by signal, each tick what came since the one before. */
export class Store {
	readonly #users: number;
	readonly #exposed: Uint8Array;
	readonly #metrics = new Map<string, MetricLog>();
	readonly #signals = new Map<string, SignalLog>();
	readonly #scores = new Map<string, ScoreLog>();
	readonly #firstExposures = new Map<string, FirstExposures>();
	#asked: Asked = { stage: -1, minute: 0, signals: [], scores: [] };
	#read = 0;

	constructor(users: number) {
		this.#users = users;
		this.#exposed = new Uint8Array(users);
	}

	/** A new stage has sums of its own. */
	ask(asked: Asked): void {
		const isNewStage = asked.stage !== this.#asked.stage;
		this.#asked = asked;
		for (const log of this.#metrics.values()) {
			if (isNewStage) log.restart();
			log.signals = [];
		}
		for (const { key, metric, harm } of asked.signals) {
			const log = found(this.#signals, key, () => new SignalLog(this.#users, key, metric));
			if (isNewStage) log.restart();
			log.harm = harm;
			this.#metricLog(metric).signals.push(log);
		}
		for (const { metric } of asked.scores) found(this.#scores, metric, () => new ScoreLog(this.#users));
	}

	record(user: number, arm: Arm, served: number, metric: string, value: number): void {
		if (!this.#exposed[user]) {
			this.#exposed[user] = 1;
			const key = `${arm}/${served}`;
			this.#firstExposures.set(key, { arm, served, units: (this.#firstExposures.get(key)?.units ?? 0) + 1 });
		}
		this.#metricLog(metric).record(user, arm, served, value);
		this.#scores.get(metric)?.record(user, arm, served, value, this.#asked.minute);
	}

	/** What came since the last reading. */
	read(): Evidence {
		const { signals, scores, minute } = this.#asked;
		const evidence: Evidence = {
			kind: "evidence",
			watermark: String(++this.#read),
			totals: [...this.#metrics].flatMap(([metric, log]) =>
				ARMS.map((arm) => ({ metric, arm, ...log.window[arm] })).filter(({ requests }) => requests > 0),
			),
			firstHarms: signals.flatMap(({ key }) => this.#signals.get(key)?.takeFirstHarms() ?? []),
			userSums: signals.flatMap(({ key, metric }) => this.#signals.get(key)?.sums(this.#metricLog(metric)) ?? []),
			firstExposures: [...this.#firstExposures.values()],
			scored: scores.flatMap((each) => this.#scores.get(each.metric)?.take(each, minute) ?? []),
			quantiles: [...this.#metrics].flatMap(([metric, log]) => log.quantiles(metric)),
		};
		for (const log of this.#metrics.values()) log.window = noWindow();
		for (const log of this.#scores.values()) log.forget(minute);
		this.#firstExposures.clear();
		return evidence;
	}

	#metricLog(metric: string): MetricLog {
		return found(this.#metrics, metric, () => new MetricLog(this.#users, metric !== "error"));
	}
}

function found<T>(of: Map<string, T>, key: string, make: () => T): T {
	let value = of.get(key);
	if (value === undefined) of.set(key, (value = make()));
	return value;
}

function noWindow(): Record<Arm, Counts<"requests" | "sum">> {
	return { candidate: { requests: 0, sum: 0 }, control: { requests: 0, sum: 0 } };
}

type MetricSums = Counts<"users" | "requests" | "requestsSquared" | "m" | "mm" | "s" | "ss" | "l" | "ll">;
const noMetricSums = (): MetricSums => ({ users: 0, requests: 0, requestsSquared: 0, m: 0, mm: 0, s: 0, ss: 0, l: 0, ll: 0 });

/** The values of one metric: by user, over the stage. m is a user's mean, s the sum, l the mean logarithm. */
class MetricLog {
	readonly #keepsValues: boolean;
	readonly requests: Uint32Array;
	readonly #sum: Float64Array;
	readonly #logs: Float64Array;
	arms: Record<Arm, MetricSums> = { candidate: noMetricSums(), control: noMetricSums() };
	window = noWindow();
	signals: SignalLog[] = [];
	/** Sorted, but for those of the window. */
	#values: Record<Arm, Float64Array> = { candidate: new Float64Array(), control: new Float64Array() };
	#newValues: Record<Arm, number[]> = { candidate: [], control: [] };

	constructor(users: number, keepsValues: boolean) {
		this.#keepsValues = keepsValues;
		this.requests = new Uint32Array(users);
		this.#sum = new Float64Array(users);
		this.#logs = new Float64Array(users);
	}

	restart(): void {
		for (const each of [this.requests, this.#sum, this.#logs]) each.fill(0);
		this.arms = { candidate: noMetricSums(), control: noMetricSums() };
		this.#values = { candidate: new Float64Array(), control: new Float64Array() };
		this.#newValues = { candidate: [], control: [] };
	}

	record(user: number, arm: Arm, served: number, value: number): void {
		const [r, s, l] = [this.requests[user] ?? 0, this.#sum[user] ?? 0, this.#logs[user] ?? 0];
		const [r1, s1, l1] = [r + 1, s + value, l + Math.log(Math.max(value, LOG_VALUE_MIN))];
		this.requests[user] = r1;
		this.#sum[user] = s1;
		this.#logs[user] = l1;
		const each = r === 0 ? 0 : 1 / r;
		const [m, m1, g, g1] = [s * each, s1 / r1, l * each, l1 / r1];
		const sums = this.arms[arm];
		sums.users += Number(r === 0);
		sums.requests++;
		sums.requestsSquared += r1 * r1 - r * r;
		sums.m += m1 - m;
		sums.mm += m1 * m1 - m * m;
		sums.s += value;
		sums.ss += s1 * s1 - s * s;
		sums.l += g1 - g;
		sums.ll += g1 * g1 - g * g;
		const window = this.window[arm];
		window.requests++;
		window.sum += value;
		if (this.#keepsValues) this.#newValues[arm].push(value);
		for (const signal of this.signals) signal.record(user, arm, served, value, r);
	}

	/** By nearest rank among all requests of the stage. */
	quantiles(metric: string): ArmQuantiles[] {
		return ARMS.flatMap((arm): ArmQuantiles[] => {
			const merged = mergeSorted(this.#values[arm], Float64Array.from(this.#newValues[arm]).sort());
			this.#values[arm] = merged;
			this.#newValues[arm] = [];
			if (merged.length === 0) return [];
			const [p50 = 0, p75 = 0, p90 = 0, p95 = 0, p99 = 0] = QUANTILES.map((q) => merged[Math.max(0, Math.ceil(q * merged.length) - 1)]);
			return [{ metric, arm, p50, p75, p90, p95, p99 }];
		});
	}
}

function mergeSorted(a: Float64Array, b: Float64Array): Float64Array {
	const merged = new Float64Array(a.length + b.length);
	for (let i = 0, j = 0, k = 0; k < merged.length; k++) {
		const takesA = j >= b.length || (i < a.length && (a[i] ?? 0) <= (b[j] ?? 0));
		merged[k] = (takesA ? a[i++] : b[j++]) ?? 0;
	}
	return merged;
}

type SignalSums = Counts<"harmedUsers" | "harms" | "harmsSquared" | "harmsTimesRequests" | "harmedFirst">;
const noSignalSums = (): SignalSums => ({ harmedUsers: 0, harms: 0, harmsSquared: 0, harmsTimesRequests: 0, harmedFirst: 0 });

/** First harms: a unit once at each share while in control, and never again after a harm in the candidate. */
class SignalLog {
	readonly #key: string;
	readonly #metric: string;
	harm: Signal["harm"] = null;
	readonly #harms: Uint32Array;
	/** The largest share at which a user was counted in control; −1: never. */
	readonly #lastControl: Int32Array;
	readonly #harmedInCandidate: Uint8Array;
	#arms: Record<Arm, SignalSums> = { candidate: noSignalSums(), control: noSignalSums() };
	readonly #firstHarms = new Map<string, FirstHarms>();

	constructor(users: number, key: string, metric: string) {
		this.#key = key;
		this.#metric = metric;
		this.#harms = new Uint32Array(users);
		this.#lastControl = new Int32Array(users).fill(-1);
		this.#harmedInCandidate = new Uint8Array(users);
	}

	restart(): void {
		this.#harms.fill(0);
		this.#arms = { candidate: noSignalSums(), control: noSignalSums() };
	}

	/** `r`: the user's requests before this one. */
	record(user: number, arm: Arm, served: number, value: number, r: number): void {
		const harmed = this.harm !== null && isHarm(this.harm[arm], value);
		const y = this.#harms[user] ?? 0;
		const y1 = y + Number(harmed);
		const sums = this.#arms[arm];
		sums.harmsTimesRequests += y1 * (r + 1) - y * r;
		if (!harmed) return;
		this.#harms[user] = y1;
		sums.harmedUsers += Number(y === 0);
		sums.harms++;
		sums.harmsSquared += y1 * y1 - y * y;
		sums.harmedFirst += Number(r === 0);
		this.#count(user, arm, served);
	}

	#count(user: number, arm: Arm, served: number): void {
		const last = this.#lastControl[user] ?? -1;
		if (this.#harmedInCandidate[user] || last >= served) return;
		if (arm === "candidate") this.#harmedInCandidate[user] = 1;
		else this.#lastControl[user] = served;
		const lastControlServed = last < 0 ? null : last;
		const key = `${arm}/${served}/${last}`;
		const units = (this.#firstHarms.get(key)?.units ?? 0) + 1;
		this.#firstHarms.set(key, { signal: this.#key, arm, served, lastControlServed, units });
	}

	takeFirstHarms(): readonly FirstHarms[] {
		const taken = [...this.#firstHarms.values()];
		this.#firstHarms.clear();
		return taken;
	}

	sums({ arms }: MetricLog): ArmSums[] {
		return ARMS.flatMap((arm): ArmSums[] => {
			const { users, requests, requestsSquared, m, mm, s, ss, l, ll } = arms[arm];
			if (users === 0) return [];
			const { harmedFirst, ...harm } = this.#arms[arm];
			// Differences of sums: rounding may leave a hair below zero.
			const of = (sum: number, squared: number) => ({ users, sumOfMeans: sum, sumOfSquaredMeans: Math.max(0, squared) });
			return [
				{
					signal: this.#key,
					metric: this.#metric,
					arm,
					users: { users, requests, requestsSquared, ...harm },
					harmedFirst,
					means: of(m, mm),
					totals: of(s, ss),
					logs: of(l, ll),
				},
			];
		});
	}
}

const SCORED_REQUESTS = 10;
const SCORED_AFTER_MINUTES = 60;

/** One score a user and rollout, in the arm and at the share of the first scored request. */
class ScoreLog {
	readonly #requests: Uint8Array;
	readonly #logs: Float64Array;
	/** By minute of their first scored request: who has not been scored, and who was by a tenth request. */
	#waiting: { readonly user: number; readonly arm: Arm; readonly served: number; readonly minute: number }[] = [];

	constructor(users: number) {
		this.#requests = new Uint8Array(users);
		this.#logs = new Float64Array(users);
	}

	record(user: number, arm: Arm, served: number, value: number, minute: number): void {
		const r = this.#requests[user] ?? 0;
		if (r >= SCORED_REQUESTS) return;
		if (r === 0) this.#waiting.push({ user, arm, served, minute });
		this.#requests[user] = r + 1;
		this.#logs[user] = (this.#logs[user] ?? 0) + Math.log(Math.max(value, LOG_VALUE_MIN));
	}

	take({ signal, center, spread, shift }: AskedScore, minute: number): Scored[] {
		const counts = new Map<string, Scored>();
		for (const { user, arm, served } of this.#waiting.filter((each) => this.#isDue(each, minute))) {
			const mean = (this.#logs[user] ?? 0) / (this.#requests[user] ?? 1);
			const score = scoreOf(mean - (arm === "candidate" ? shift : 0), center, spread);
			const key = `${arm}/${served}/${score}`;
			counts.set(key, { signal, arm, served, score, units: (counts.get(key)?.units ?? 0) + 1 });
		}
		return [...counts.values()];
	}

	/** Those who were due have been taken: their scores stand. */
	forget(minute: number): void {
		this.#waiting = this.#waiting.filter((each) => {
			const isDue = this.#isDue(each, minute);
			if (isDue) this.#requests[each.user] = SCORED_REQUESTS;
			return !isDue;
		});
	}

	#isDue({ user, minute: first }: { readonly user: number; readonly minute: number }, minute: number): boolean {
		return (this.#requests[user] ?? 0) >= SCORED_REQUESTS || minute - first >= SCORED_AFTER_MINUTES;
	}
}

export interface Tick {
	readonly tick: number;
	/** Buckets served. */
	readonly served: number;
	readonly before: LiveState;
	readonly evidence: Evidence;
	readonly decision: Hold | Change;
}

/** A rollout's life, minute by minute, until it ends. */
export function* live(plan: Plan, population: Population): Generator<Tick, void> {
	const random = randomOf(population.seed);
	const seed = seedOf(`simulation.${population.seed}`);
	const buckets = Array.from({ length: population.users }, (_, user) => bucketOf(`user-${user}`, seed));
	const order = Uint32Array.from(buckets.keys());
	const { latency, errors } = population;
	const medians = latency && buckets.map(() => Math.log(latency.medianMs) + latency.spreadOfUsers * normalOf(random));
	const store = new Store(population.users);
	const [from, to] = population.visitors;
	let state: RolloutState = started(plan, FIRST_LAUNCH, 0);
	for (let tick = 1; isLive(state); tick++) {
		const served = servedIn(plan, state.phase);
		store.ask(askedOf(plan, state, tick));
		const visitors = from + Math.floor(random() * (to - from + 1));
		for (let i = 0; i < visitors; i++) {
			// A step of Fisher and Yates' shuffle: nobody comes twice in a minute.
			const j = i + Math.floor(random() * (order.length - i));
			const user = order[j] ?? 0;
			order[j] = order[i] ?? 0;
			order[i] = user;
			const arm = (buckets[user] ?? 0) < served ? "candidate" : "control";
			for (let request = 0; request < population.requests; request++) {
				if (errors) store.record(user, arm, served, "error", Number(random() < errors[arm]));
				if (!latency || !medians) continue;
				const ms = Math.exp((medians[user] ?? 0) + latency.spreadOfRequests * normalOf(random));
				store.record(user, arm, served, "latency_ms", arm === "candidate" ? latency.candidate(ms, random) : ms);
			}
		}
		const before: LiveState = state;
		const evidence = store.read();
		const decision = decide(plan, before, evidence, tick * MINUTE_MS);
		if (decision.kind === "none") throw new Error(`tick ${tick} decided nothing`);
		yield { tick, served, before, evidence, decision };
		({ state } = decision);
	}
}

/** Runs a rollout until it ends, or for `ticksMax`. */
export function simulate(plan: Plan, population: Population, ticksMax: number): Outcome {
	let last: Tick | undefined;
	for (const each of live(plan, population)) {
		last = each;
		if (each.tick === ticksMax) break;
	}
	if (!last) throw new Error("no tick");
	const { tick, served, decision } = last;
	return { status: decision.state.status, ticks: tick, served, reason: decision.reason };
}
