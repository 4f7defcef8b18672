import type { BreakerState } from "../rollouts/breaker";
import { type Level, worstOf } from "./level";

/** The most that a warning scores, as in level.ts. */
const WARNING_SCORE_MAX = 69;

/** What one tick finds of a whole environment. */
export interface EnvironmentFinding {
	readonly level: Level;
	/** The lowest of its rollouts', 100 with none live, 69 at most where the breaker makes it a warning; null: none is known. */
	readonly score: number | null;
	/** Live rollouts by level. */
	readonly levels: Readonly<Partial<Record<Level, number>>>;
	/** Those at the environment's level, unless it is well. */
	readonly worst: readonly string[];
	readonly breaker: BreakerState["kind"] | "unknown";
	/** Until when it is open or half open; null: it is neither, as far as is known. */
	readonly breakerUntilMs: number | null;
}

/** An environment is as well as the worst of its live rollouts; one without any is excellent. A breaker that has not closed is a warning. */
export function findingOf(
	rollouts: readonly { readonly id: string; readonly level: Level; readonly score: number | null }[],
	breaker: BreakerState | "unknown",
): EnvironmentFinding {
	const breakerUntilMs = untilOf(breaker);
	const found = rollouts.length === 0 ? "excellent" : worstOf(rollouts.map((each) => each.level));
	const isLowered = breakerUntilMs !== null && isWell(found);
	const level = isLowered ? "warning" : found;
	const levels: Partial<Record<Level, number>> = {};
	for (const each of rollouts) levels[each.level] = (levels[each.level] ?? 0) + 1;
	const scores = rollouts.flatMap(({ score }) => score ?? []);
	const score = rollouts.length === 0 ? 100 : scores.length === 0 ? null : Math.min(...scores);
	return {
		level,
		score: isLowered && score !== null ? Math.min(score, WARNING_SCORE_MAX) : score,
		levels,
		worst: isWell(level)
			? []
			: rollouts
					.filter((each) => each.level === level)
					.map(({ id }) => id)
					.slice(0, 20),
		breaker: breaker === "unknown" ? breaker : breaker.kind,
		breakerUntilMs,
	};
}

const untilOf = (breaker: BreakerState | "unknown"): number | null =>
	breaker === "unknown" || breaker.kind === "closed" ? null : breaker.untilMs;

const isWell = (level: Level): boolean => level === "good" || level === "excellent";
