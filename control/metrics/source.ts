import type { ArmSums, FirstExposures, FirstHarms, WindowTotal } from "../../core/health/observation";

/** A rollout whose evidence is wanted: its current stage, and the watermark up to which it has been read (null: never). */
export interface Question {
	readonly rollout: string;
	readonly stage: number;
	readonly after: string | null;
}

export type Of<T> = T & { readonly rollout: string };

/**
 * Where the judge's numbers come from. Each call answers for all rollouts at once. Windows run over arrival, from a
 * question's watermark (exclusive) to `upTo` (inclusive); watermarks are opaque, given out by the store.
 */
export interface MetricsSource {
	/** Up to where everything that has arrived can be read, and nothing more will ever appear. */
	watermark(nowMs: number): Promise<string>;
	/** Outcomes that arrived in the window. */
	totals(questions: readonly Question[], upTo: string): Promise<readonly Of<WindowTotal>[]>;
	/** Units newly counted at first harm, by stratum. */
	firstHarms(questions: readonly Question[], upTo: string): Promise<readonly Of<FirstHarms>[]>;
	/** Sums over the users of the question's stage so far. */
	userSums(questions: readonly Question[], upTo: string): Promise<readonly Of<ArmSums>[]>;
	/** Users seen for the first time in the window. */
	firstExposures(questions: readonly Question[], upTo: string): Promise<readonly Of<FirstExposures>[]>;
}
