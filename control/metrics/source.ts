import type { ArmQuantiles, ArmSums, FirstExposures, FirstHarms, Scored, WindowTotal } from "../../core/health/observation";

/** A rollout whose evidence is wanted: its current stage, and the watermark up to which it has been read (null: never). */
export interface Question {
	readonly environment: string;
	readonly rollout: string;
	readonly stage: number;
	readonly startedAtMs: number;
	readonly after: string | null;
	/** All that the plan looks at. */
	readonly signals: readonly AskedSignal[];
	/** Guards past their warm-up that score users. */
	readonly scores: readonly AskedScore[];
	/** Absent: its users are all in one. */
	readonly rings?: AskedRings;
}

/** Sums and quantiles are wanted of the newest ring by itself too; null: of none. Rings are numbered from 1. */
export interface AskedRings {
	readonly count: number;
	readonly newest: number | null;
}

export interface AskedSignal {
	readonly key: string;
	readonly metric: string;
	readonly slot: number;
}

/** A user's score is clip((mean ln value − shift in the candidate − center)/(2·spread), −1, 1), towards 0 to a multiple of 0.05. */
export interface AskedScore {
	/** The guard's signal. */
	readonly signal: string;
	readonly metric: string;
	readonly center: number;
	readonly spread: number;
	/** What the plan tolerates: ln(1 + margin). */
	readonly shift: number;
}

export type Of<T> = T & { readonly rollout: string };

/** A flag's outcomes of one metric, by what it served; flag and variant are empty for the whole environment, each event once. */
export interface Performance {
	readonly flag: string;
	readonly variant: string;
	readonly metric: string;
	readonly requests: number;
	readonly sum: number;
	readonly p50: number;
	readonly p95: number;
	readonly p99: number;
}

/** An origin's own measurements in a window. */
export interface SystemSummary {
	readonly origin: string;
	readonly metric: string;
	readonly samples: number;
	readonly mean: number;
	readonly max: number;
	readonly last: number;
	readonly lastAtMs: number;
}

/**
 * Where the judge's numbers come from. Each call answers for all rollouts at once. Windows run over arrival, from a
 * question's watermark (exclusive) to `upTo` (inclusive); watermarks are opaque, given out by the store.
 */
export interface MetricsSource {
	/** Up to where everything that has arrived can be read, and nothing more will ever appear. */
	watermark(nowMs: number): Promise<string>;
	/** Outcomes that arrived in the window, by ring. */
	totals(questions: readonly Question[], upTo: string): Promise<readonly Of<WindowTotal>[]>;
	/** Units newly counted at first harm, by stratum and ring. */
	firstHarms(questions: readonly Question[], upTo: string): Promise<readonly Of<FirstHarms>[]>;
	/** Sums over the users of the question's stage so far, for each of its signals and each arm that reported the signal's metric; those of the newest ring bear its number. */
	userSums(questions: readonly Question[], upTo: string): Promise<readonly Of<ArmSums>[]>;
	/** Users seen for the first time in the window. */
	firstExposures(questions: readonly Question[], upTo: string): Promise<readonly Of<FirstExposures>[]>;
	/** Users newly scored. */
	scored(questions: readonly Question[], upTo: string): Promise<readonly Of<Scored>[]>;
	/** Quantiles over the requests of the question's stage so far; likewise. */
	quantiles(questions: readonly Question[], upTo: string): Promise<readonly Of<ArmQuantiles>[]>;
	/** What flags served and how it went, from (inclusive) to (exclusive), by arrival. */
	performance(environment: string, fromMs: number, toMs: number): Promise<readonly Performance[]>;
	/** What origins said of themselves since then. */
	system(environment: string, fromMs: number): Promise<readonly SystemSummary[]>;
}
