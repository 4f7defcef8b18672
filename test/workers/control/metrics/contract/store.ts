import type { MetricsSource, Question } from "../../../../../control/metrics/source";
import type { Point, SystemPoint } from "../../../../../core/telemetry";
import { aSignal } from "../points";

/** A store under test, and what it may do in its own way. */
export interface MetricStore {
	readonly source: MetricsSource;
	/** The points arrive at `atMs`, in whole seconds. */
	readonly record: (points: readonly Point[], arrival: Arrival) => Promise<void>;
	readonly recordSystem: (points: readonly SystemPoint[], arrival: Arrival) => Promise<void>;
	/** So long after its arrival a point can be read. */
	readonly delayMs: number;
	/** An event's id counts once, also across batches. */
	readonly deduplicates: boolean;
	/** Which of two points that arrived together came first is known. */
	readonly keepsOrder: boolean;
}

export interface Arrival {
	readonly environment: string;
	readonly atMs: number;
}

/** For laws, which are many cases. */
export const RUNS = { seed: 20_261_120, numRuns: 12 };
export const SLOW = { timeout: 60_000 };

const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
/** A round hour. */
const START_MS = 1_799_996_400_000;

export const ERROR = aSignal("error");

export const aQuestion = (rollout: string, change: Partial<Question> = {}): Question => ({
	environment: "production",
	rollout,
	stage: 1,
	startedAtMs: 0,
	after: null,
	signals: [ERROR],
	scores: [],
	...change,
});

/** The store with a clock that only this moves. The store is shared by the tests: each has rollouts of its own. */
export class Watched {
	nowMs = START_MS;
	#rollouts = 0;

	readonly store: MetricStore;

	constructor(store: MetricStore) {
		this.store = store;
	}

	get source(): MetricsSource {
		return this.store.source;
	}

	newRollout(): string {
		return `rollout_${++this.#rollouts}.1`;
	}

	pass(ms: number): void {
		this.nowMs += ms;
	}

	/** To the start of the next minute. */
	passMinute(): void {
		this.pass(MINUTE_MS - (this.nowMs % MINUTE_MS));
	}

	/** Together; their order means nothing. */
	async record(points: readonly Point[], environment = "production"): Promise<void> {
		await this.store.record(points, { environment, atMs: this.nowMs });
	}

	/** In this order, whatever it takes. */
	async recordInOrder(points: readonly Point[]): Promise<void> {
		if (this.store.keepsOrder) return this.record(points);
		for (const point of points) {
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			await this.record([point]);
			this.pass(SECOND_MS);
		}
	}

	async recordSystem(points: readonly SystemPoint[], environment = "production"): Promise<void> {
		await this.store.recordSystem(points, { environment, atMs: this.nowMs });
	}

	/** A watermark that everything recorded so far is under. */
	async look(): Promise<string> {
		this.pass(this.store.delayMs);
		return this.source.watermark(this.nowMs);
	}

	/** One reader of one rollout: each call reads the next window. */
	reader(rollout: string, change: Partial<Question> = {}) {
		let after: string | null = null;
		return async (now: Partial<Question> & { readonly upTo?: string } = {}) => {
			const { upTo = await this.look(), ...asked } = now;
			const questions = [aQuestion(rollout, { ...change, ...asked, after })];
			const [totals, firstHarms, userSums, firstExposures, scored, quantiles] = await Promise.all([
				this.source.totals(questions, upTo),
				this.source.firstHarms(questions, upTo),
				this.source.userSums(questions, upTo),
				this.source.firstExposures(questions, upTo),
				this.source.scored(questions, upTo),
				this.source.quantiles(questions, upTo),
			]);
			after = upTo;
			return { totals, firstHarms, userSums, firstExposures, scored, quantiles };
		};
	}
}

/** Rows have no order of their own, nor have their fields. */
export function byText(rows: readonly object[]): string[] {
	return rows.map((row) => JSON.stringify(sorted(row))).sort();
}

export const sorted = (of: object): [string, unknown][] => Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1));
