import { bucketOf, seedOf } from "../../../core/flags/bucket";
import type { ArmSums, Evidence, FirstExposures, FirstHarms, WindowTotal } from "../../../core/health/observation";
import { decide } from "../../../core/rollouts/decide";
import { type Plan, servedIn } from "../../../core/rollouts/plan";
import { type RolloutState, isLive } from "../../../core/rollouts/state";
import { started } from "../../../core/rollouts/transitions";
import { MINUTE_MS } from "./fixtures";

/** A seeded population under a rollout: what it reports reaches `decide` as a metrics store would tell it, once a minute. */

export interface Population {
	readonly seed: number;
	readonly users: number;
	/** Distinct users a minute, drawn anew each minute: from, to. */
	readonly visitors: readonly [number, number];
	/** Of each visitor. */
	readonly requests: number;
	/** Share of a visitor's requests that fail, by arm. */
	readonly errors: { readonly candidate: number; readonly control: number };
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

type Arm = "candidate" | "control";
/** Ten thousand requests a tick: counts grow in place, and are copied when they are read. */
type Counting<T> = { -readonly [Key in keyof T]: Counting<T[Key]> };

/** Counts as STATISTICS of first harms asks: a unit once at each share while in control, and never again after a harm in the candidate. */
export class Store {
	readonly #users: number;
	readonly #exposed: Uint8Array;
	/** The largest share at which a user was counted in control; −1: never. */
	readonly #lastControl: Int32Array;
	readonly #harmedInCandidate: Uint8Array;
	#stage = -1;
	#requests: Uint32Array;
	#harms: Uint32Array;
	#sums: Record<Arm, Counting<ArmSums>> = { candidate: noSums("candidate"), control: noSums("control") };
	#totals: Record<Arm, Counting<WindowTotal>> = noTotals();
	readonly #firstHarms = new Map<string, FirstHarms>();
	readonly #firstExposures = new Map<string, FirstExposures>();
	#read = 0;

	constructor(users: number) {
		this.#users = users;
		this.#exposed = new Uint8Array(users);
		this.#lastControl = new Int32Array(users).fill(-1);
		this.#harmedInCandidate = new Uint8Array(users);
		this.#requests = new Uint32Array(users);
		this.#harms = new Uint32Array(users);
	}

	/** A new stage has sums of its own. */
	enter(stage: number): void {
		if (stage === this.#stage) return;
		this.#stage = stage;
		this.#requests = new Uint32Array(this.#users);
		this.#harms = new Uint32Array(this.#users);
		this.#sums = { candidate: noSums("candidate"), control: noSums("control") };
	}

	record(user: number, arm: Arm, served: number, harmed: boolean): void {
		const total = this.#totals[arm];
		total.requests++;
		total.harms += Number(harmed);
		total.sum += Number(harmed);
		if (!this.#exposed[user]) {
			this.#exposed[user] = 1;
			const key = `${arm}/${served}`;
			this.#firstExposures.set(key, { arm, served, units: (this.#firstExposures.get(key)?.units ?? 0) + 1 });
		}
		this.#grow(user, arm, Number(harmed));
		if (harmed) this.#countHarm(user, arm, served);
	}

	#grow(user: number, arm: Arm, harmed: number): void {
		const [r, y] = [this.#requests[user] ?? 0, this.#harms[user] ?? 0];
		const [r1, y1] = [r + 1, y + harmed];
		this.#requests[user] = r1;
		this.#harms[user] = y1;
		const [mean, mean1] = [r === 0 ? 0 : y / r, y1 / r1];
		const { users, means } = this.#sums[arm];
		users.users += Number(r === 0);
		users.harmedUsers += Number(y === 0 && y1 > 0);
		users.requests++;
		users.harms += harmed;
		users.harmsSquared += y1 * y1 - y * y;
		users.harmsTimesRequests += y1 * r1 - y * r;
		users.requestsSquared += r1 * r1 - r * r;
		means.users = users.users;
		means.sumOfMeans += mean1 - mean;
		// Differences of sums: rounding may leave a hair below zero.
		means.sumOfSquaredMeans = Math.max(0, means.sumOfSquaredMeans + mean1 * mean1 - mean * mean);
		this.#sums[arm].harmedFirst += Number(r === 0 && harmed === 1);
	}

	#countHarm(user: number, arm: Arm, served: number): void {
		const last = this.#lastControl[user] ?? -1;
		if (this.#harmedInCandidate[user] || last >= served) return;
		if (arm === "candidate") this.#harmedInCandidate[user] = 1;
		else this.#lastControl[user] = served;
		const lastControlServed = last < 0 ? null : last;
		const key = `${arm}/${served}/${last}`;
		const units = (this.#firstHarms.get(key)?.units ?? 0) + 1;
		this.#firstHarms.set(key, { metric: "error", arm, served, lastControlServed, units });
	}

	/** What came since the last reading. */
	read(): Evidence {
		const arms: readonly Arm[] = ["candidate", "control"];
		const evidence: Evidence = {
			kind: "evidence",
			watermark: String(++this.#read),
			totals: arms.map((arm) => this.#totals[arm]).filter(({ requests }) => requests > 0),
			firstHarms: [...this.#firstHarms.values()],
			userSums: arms.map((arm) => structuredClone(this.#sums[arm])).filter(({ users }) => users.users > 0),
			firstExposures: [...this.#firstExposures.values()],
		};
		this.#totals = noTotals();
		this.#firstHarms.clear();
		this.#firstExposures.clear();
		return evidence;
	}
}

function noTotals(): Record<Arm, Counting<WindowTotal>> {
	const none = { metric: "error", requests: 0, harms: 0, sum: 0 } as const;
	return { candidate: { ...none, arm: "candidate" }, control: { ...none, arm: "control" } };
}

function noSums(arm: Arm): Counting<ArmSums> {
	const users = { users: 0, harmedUsers: 0, requests: 0, harms: 0, harmsSquared: 0, harmsTimesRequests: 0, requestsSquared: 0 };
	return { metric: "error", arm, users, means: { users: 0, sumOfMeans: 0, sumOfSquaredMeans: 0 }, harmedFirst: 0 };
}

/** Runs a rollout until it ends, minute by minute, or for `ticksMax`. */
export function simulate(plan: Plan, population: Population, ticksMax: number): Outcome {
	const random = randomOf(population.seed);
	const seed = seedOf(`simulation.${population.seed}`);
	const buckets = Array.from({ length: population.users }, (_, user) => bucketOf(`user-${user}`, seed));
	const order = Uint32Array.from(buckets.keys());
	const store = new Store(population.users);
	const [from, to] = population.visitors;
	let state: RolloutState = started(plan, 1, 0);
	let served = 0;
	let reason = "";
	for (let tick = 1; tick <= ticksMax; tick++) {
		if (!isLive(state)) return { status: state.status, ticks: tick - 1, served, reason };
		served = servedIn(plan, state.phase);
		store.enter(state.stage);
		const visitors = from + Math.floor(random() * (to - from + 1));
		for (let i = 0; i < visitors; i++) {
			// A step of Fisher and Yates' shuffle: nobody comes twice in a minute.
			const j = i + Math.floor(random() * (order.length - i));
			const user = order[j] ?? 0;
			order[j] = order[i] ?? 0;
			order[i] = user;
			const arm = (buckets[user] ?? 0) < served ? "candidate" : "control";
			for (let request = 0; request < population.requests; request++) store.record(user, arm, served, random() < population.errors[arm]);
		}
		const decision = decide(plan, state, store.read(), tick * MINUTE_MS);
		if (decision.kind === "none") throw new Error(`tick ${tick} decided nothing`);
		({ reason } = decision);
		state = decision.state;
	}
	return { status: state.status, ticks: ticksMax, served, reason };
}
